import Foundation

/// Holds the part of a body that has arrived and is not read yet. Takes chunks of any size and returns pieces of a
/// limited size.
struct BodyBuffer {
    /// The most bytes of a body that may wait in memory; then the connection is held.
    static let limit = 256 * 1024
    /// The most bytes that are returned at a time.
    static let chunkLimit = 64 * 1024

    private var chunks: [Data] = []
    /// Bytes of the first chunk that were returned already.
    private var taken = 0
    /// The bytes that arrived after the chunks.
    private var overflow: BodyOverflow?
    /// The number of bytes that wait in memory.
    private(set) var countInMemory = 0

    /// The number of bytes that wait, in memory and in the file.
    var count: Int { countInMemory + (overflow?.count ?? 0) }

    /// Appends a chunk. Throws if it must follow others into a file that cannot be written.
    mutating func append(_ chunk: Data) throws {
        guard !chunk.isEmpty else { return }
        if let overflow { return try overflow.append(chunk) }
        chunks.append(chunk)
        countInMemory += chunk.count
    }

    /// Appends a chunk, in a file if enough waits in memory. Throws if the file cannot be written.
    mutating func appendOverflowing(_ chunk: Data) throws {
        if countInMemory + chunk.count > Self.limit, overflow == nil { overflow = try BodyOverflow() }
        try append(chunk)
    }

    /// Removes at most `limit` bytes from the front and returns them; `nil` if none wait. Throws if the file cannot
    /// be read.
    mutating func next(upTo limit: Int) throws -> Data? {
        guard let first = chunks.first else {
            guard let overflow else { return nil }
            let piece = try overflow.next(upTo: limit)
            if overflow.count == 0 { self.overflow = nil }
            return piece
        }
        let rest = first.dropFirst(taken)
        let piece = Data(rest.prefix(limit))
        countInMemory -= piece.count
        if piece.count == rest.count {
            chunks.removeFirst()
            taken = 0
        } else {
            taken += piece.count
        }
        return piece
    }

    /// Discards all bytes.
    mutating func removeAll() {
        self = BodyBuffer()
    }
}
