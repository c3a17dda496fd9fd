import Foundation

/// Looks up what users read, in one language.
///
/// An app replaces a text by a string of the same name in a file `Keyferry.strings` of its own.
struct Texts {
    /// The texts in the language of the app.
    static let current = Texts(bundle: .module)

    private static let appTable = "Keyferry"
    private let bundle: Bundle
    private let locale: Locale

    private init(bundle: Bundle) {
        self.bundle = bundle
        let own = bundle.localizedString(forKey: "keyferry_language", value: "en", table: nil)
        let language = Bundle.main.localizedString(forKey: "keyferry_language", value: own, table: Texts.appTable)
        // The region of the user decides how numbers are written, if it goes with the language.
        let isOfUser = Locale.current.identifier.hasPrefix(language)
        locale = isOfUser ? .current : Locale(identifier: language)
    }

    /// The texts in a language that the package has; `nil` if it has none of that name.
    init?(language: String) {
        guard
            let folder = Bundle.module.path(forResource: language, ofType: "lproj"),
            let bundle = Bundle(path: folder)
        else { return nil }
        self.init(bundle: bundle)
    }

    /// Returns the text of that name, with the arguments in the places of `%1$@`, `%2$@`, and so on.
    func text(_ name: String, _ arguments: String...) -> String {
        filled(name, arguments)
    }

    /// Returns the text of that name for a quantity.
    func text(_ name: String, quantity: UInt64, _ arguments: String...) -> String {
        filled(name + (quantity == 1 ? ".one" : ".other"), arguments)
    }

    /// Returns a number with the separators of the language.
    func number(_ number: UInt64) -> String {
        let formatter = NumberFormatter()
        formatter.locale = locale
        formatter.numberStyle = .decimal
        return formatter.string(from: NSNumber(value: number)) ?? "\(number)"
    }

    private func filled(_ name: String, _ arguments: [String]) -> String {
        let own = bundle.localizedString(forKey: name, value: nil, table: nil)
        let text = Bundle.main.localizedString(forKey: name, value: own, table: Texts.appTable)
        return zip(1..., arguments).reduce(text) { text, argument in
            text.replacingOccurrences(of: "%\(argument.0)$@", with: argument.1)
        }
    }
}
