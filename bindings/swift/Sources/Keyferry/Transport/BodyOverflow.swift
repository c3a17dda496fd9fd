import Foundation

/// Keeps bytes in a file whose name is deleted at once, so that nothing is left of it, however the process ends.
final class BodyOverflow {
    private let file: FileHandle
    private var written: UInt64 = 0
    private var read: UInt64 = 0

    /// The number of bytes that wait.
    var count: Int { Int(written - read) }

    init() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("keyferry-" + UUID().uuidString)
        try Data().write(to: url, options: .withoutOverwriting)
        defer { try? FileManager.default.removeItem(at: url) }
        file = try FileHandle(forUpdating: url)
    }

    deinit {
        try? file.close()
    }

    func append(_ data: Data) throws {
        try file.seek(toOffset: written)
        try file.write(contentsOf: data)
        written += UInt64(data.count)
    }

    func next(upTo limit: Int) throws -> Data? {
        try file.seek(toOffset: read)
        let piece = try file.read(upToCount: min(limit, count))
        read += UInt64(piece?.count ?? 0)
        return piece
    }
}
