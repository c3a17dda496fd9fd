import Foundation

/// One attempt at a download into a file. The OS's task carries its text, so that a late answer to an attempt that
/// was given up is not taken for the answer to the next attempt of the same name.
struct FileDownloadTicket: Codable, Hashable, Sendable {
    let id: UUID
    let name: String

    init(name: String) {
        id = UUID()
        self.name = name
    }

    /// Reads a ticket from its `text`; `nil` if it is none.
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

    /// Returns a file name for the name; `nil` if that is empty or over 200 bytes long. Different names have
    /// different file names, even if the file system ignores case.
    static func fileName(for name: String) -> String? {
        let plain = Set("abcdefghijklmnopqrstuvwxyz0123456789-".utf8)
        let escaped = name.utf8.map { byte -> String in
            plain.contains(byte) ? String(UnicodeScalar(byte)) : "_" + String(byte, radix: 16) + "_"
        }
        let fileName = escaped.joined()
        return (1...200).contains(fileName.utf8.count) ? fileName : nil
    }
}
