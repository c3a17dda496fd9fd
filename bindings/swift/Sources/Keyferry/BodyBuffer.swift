import Foundation

/// The part of a body that has come and has not been asked for: whole chunks in, pieces of a limited size out.
struct BodyBuffer {
    /// Bytes of a body that may wait in memory before the connection is held.
    static let limit = 256 * 1024
    /// Bytes that are handed out at a time, at most.
    static let chunkLimit = 64 * 1024

    private var chunks: [Data] = []
    /// Bytes of the first chunk that are handed out already.
    private var taken = 0
    /// What came after the chunks.
    private var overflow: BodyOverflow?
    /// Bytes that wait in memory.
    private(set) var countInMemory = 0

    /// Bytes that wait.
    var count: Int { countInMemory + (overflow?.count ?? 0) }

    /// Puts a chunk at the end. Throws where it has to follow others into a file that cannot be written.
    mutating func append(_ chunk: Data) throws {
        guard !chunk.isEmpty else { return }
        if let overflow { return try overflow.append(chunk) }
        chunks.append(chunk)
        countInMemory += chunk.count
    }

    /// Puts a chunk at the end, into a file if enough waits in memory. Throws where the file cannot be written.
    mutating func appendOverflowing(_ chunk: Data) throws {
        if countInMemory + chunk.count > Self.limit, overflow == nil { overflow = try BodyOverflow() }
        try append(chunk)
    }

    /// Takes at most `limit` bytes from the front; `nil` if there are none. Throws where the file cannot be read.
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

    /// Forgets everything.
    mutating func removeAll() {
        self = BodyBuffer()
    }
}
