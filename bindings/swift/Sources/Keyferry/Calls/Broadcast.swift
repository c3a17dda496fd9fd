import Foundation

/// Sends values from one source to any number of listeners. A slow listener misses the oldest values and delays no
/// other. `FakeKeyBackup` has it, too.
package final class Broadcast<Element: Sendable>: @unchecked Sendable {
    /// Held while values are sent, so that all listeners get them in the same order.
    private let sending = NSLock()
    /// Guards the listeners. Never held while a value is sent: that wakes a task, and a task that is being cancelled waits
    /// for this lock.
    private let registry = NSLock()
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
        sending.withLock {
            if let latest { continuation.yield(latest) }
            if isOver { continuation.finish() } else { registry.withLock { listeners[id] = continuation } }
        }
        return stream
    }

    /// Sends a value to every listener.
    package func send(_ element: Element) {
        sending.withLock {
            guard !isOver else { return }
            if repeatsLatest { latest = element }
            for listener in currentListeners { listener.yield(element) }
        }
    }

    /// Makes new listeners wait for the next value.
    package func forgetLatest() {
        sending.withLock { latest = nil }
    }

    /// Ends every stream.
    package func finish() {
        sending.withLock {
            isOver = true
            for listener in currentListeners { listener.finish() }
        }
    }

    private var currentListeners: [AsyncStream<Element>.Continuation] {
        registry.withLock { Array(listeners.values) }
    }

    private func remove(_ id: UUID) {
        registry.withLock { _ = listeners.removeValue(forKey: id) }
    }
}
