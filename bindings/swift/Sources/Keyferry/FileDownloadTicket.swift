import Foundation

/// One attempt at a download into a file. A task of the OS carries its text, so that what comes late of an attempt that was
/// given up is not taken for the next one of the same name.
struct FileDownloadTicket: Codable, Hashable, Sendable {
    let id: UUID
    let name: String

    init(name: String) {
        id = UUID()
        self.name = name
    }

    /// Reads what `text` has written.
    init?(text: String?) {
        let parts = text?.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false) ?? []
        guard parts.count == 2, let id = UUID(uuidString: String(parts[0])) else { return nil }
        self.id = id
        name = String(parts[1])
    }

    /// The ticket as the description of a task.
    var text: String {
        "\(id.uuidString) \(name)"
    }

    /// The name as a file name; `nil` where it is too long. No two names share one, where case counts for nothing either.
    static func fileName(for name: String) -> String? {
        let plain = Set("abcdefghijklmnopqrstuvwxyz0123456789-".utf8)
        let escaped = name.utf8.map { byte -> String in
            plain.contains(byte) ? String(UnicodeScalar(byte)) : "_" + String(byte, radix: 16) + "_"
        }
        let fileName = escaped.joined()
        return (1...200).contains(fileName.utf8.count) ? fileName : nil
    }
}
