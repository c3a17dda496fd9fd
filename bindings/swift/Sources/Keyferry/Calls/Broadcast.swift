import Foundation

/// Sends values from one source to any number of listeners. A slow listener misses the oldest values and delays no
/// other. `FakeKeyBackup` has it, too.
package final class Broadcast<Element: Sendable>: @unchecked Sendable {
    private let lock = NSLock()
    private let bufferLimit: Int
    private let repeatsLatest: Bool
    private var latest: Element?
    private var listeners: [UUID: AsyncStream<Element>.Continuation] = [:]
    private var isOver = false

    /// - Parameters:
    ///   - bufferLimit: How many values wait for a slow listener.
    ///   - repeatsLatest: Whether a new listener gets the latest value at once.
    package init(bufferLimit: Int, repeatsLatest: Bool) {
        self.bufferLimit = bufferLimit
        self.repeatsLatest = repeatsLatest
    }

    /// - Parameters:
    ///   - bufferLimit: How many values wait for a slow listener.
    ///   - latest: What a new listener gets before the first value is sent.
    package convenience init(bufferLimit: Int, latest: Element) {
        self.init(bufferLimit: bufferLimit, repeatsLatest: true)
        self.latest = latest
    }

    /// Adds a listener and returns its stream.
    package func stream() -> AsyncStream<Element> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Element.self,
            bufferingPolicy: .bufferingNewest(bufferLimit)
        )
        let id = UUID()
        continuation.onTermination = { [weak self] _ in self?.remove(id) }
        let isOver = lock.withLock { () -> Bool in
            // Under the lock; otherwise a newer value could come first.
            if let latest { continuation.yield(latest) }
            if !self.isOver { listeners[id] = continuation }
            return self.isOver
        }
        if isOver { continuation.finish() }
        return stream
    }

    /// Sends a value to every listener.
    package func send(_ element: Element) {
        lock.withLock {
            guard !isOver else { return }
            if repeatsLatest { latest = element }
            for listener in listeners.values { listener.yield(element) }
        }
    }

    /// Ends every stream.
    package func finish() {
        let ended = lock.withLock { () -> [AsyncStream<Element>.Continuation] in
            isOver = true
            defer { listeners = [:] }
            return Array(listeners.values)
        }
        // Not under the lock: this calls `remove`.
        ended.forEach { $0.finish() }
    }

    private func remove(_ id: UUID) {
        lock.withLock { _ = listeners.removeValue(forKey: id) }
    }
}
