extension ResetProgress {
    /// The headline, such as "Moving message keys to a new backup", in the language of the app.
    public var title: String { title(.current) }

    /// The line below the headline: how far the reset is, or why it has stopped. In the language of the app.
    public var detail: String { detail(.current) }

    func title(_ texts: Texts) -> String {
        texts.text(step == .done ? "keyferry_reset_done" : "keyferry_reset")
    }

    func detail(_ texts: Texts) -> String {
        if let stopped { return texts.text(stopped.textName) }
        return switch step {
        case .begun, .secretsKept, .created, .published: texts.text("keyferry_reset_preparing")
        case .adopted, .readingBack, .proved: texts.text("keyferry_reset_checking")
        case .uploading:
            // What the server had lost is sent again.
            texts.text(
                "keyferry_reset_uploaded", quantity: total, texts.number(min(sent, total)), texts.number(total))
        case .done: texts.text("keyferry_keys", quantity: total, texts.number(total))
        }
    }
}

extension ResetStop {
    /// The name of the text that tells the user why a reset has stopped.
    var textName: String {
        switch self {
        case .overtaken, .secretStorageChanged: "keyferry_error_reset_halted"
        case .oldVersionStays: "keyferry_error_old_backup_stays"
        }
    }
}
