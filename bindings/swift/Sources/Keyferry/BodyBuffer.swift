import Foundation

/// The part of a body that has come and has not been asked for: whole chunks in, pieces of a limited size out.
struct BodyBuffer {
    /// Bytes of a body that may wait before the connection is held.
    static let limit = 256 * 1024
    /// Bytes that are handed out at a time, at most.
    static let chunkLimit = 64 * 1024

    private var chunks: [Data] = []
    /// Bytes of the first chunk that are handed out already.
    private var taken = 0
    /// Bytes that wait.
    private(set) var count = 0

    /// Puts a chunk at the end.
    mutating func append(_ chunk: Data) {
        guard !chunk.isEmpty else { return }
        chunks.append(chunk)
        count += chunk.count
    }

    /// Takes at most `limit` bytes from the front; `nil` if there are none.
    mutating func next(upTo limit: Int) -> Data? {
        guard let first = chunks.first else { return nil }
        let rest = first.dropFirst(taken)
        let piece = Data(rest.prefix(limit))
        count -= piece.count
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
