import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// One request of `URLSessionTransport` and its answer.
final class URLSessionExchange: HttpExchange, @unchecked Sendable {
    private enum End {
        case complete
        case failed(TransportError)
    }

    private struct Waiter {
        let isReady: @Sendable (URLSessionExchange) -> Bool
        let continuation: CheckedContinuation<Void, Never>
    }

    private let idleTimeout: TimeInterval
    private let mostBuffered: HighWaterMark
    /// Guards everything below, and wakes a reading thread that is held.
    private let condition = NSCondition()
    private var task: URLSessionDataTask?
    private var answer: TransportHead?
    private var announced: Int64?
    private var received: Int64 = 0
    private var buffer = BodyBuffer()
    /// Whether the reader has asked for a part of the body, and so will ask for more.
    private var isBeingRead = false
    private var end: End?
    private var isHeld = false
    private var waiter: Waiter?
    private var waitingSince = DispatchTime.now()
    private var watchIsOn = false

    init(idleTimeout: TimeInterval, mostBuffered: HighWaterMark) {
        self.idleTimeout = idleTimeout
        self.mostBuffered = mostBuffered
    }

    // MARK: The reader's side

    func head() async throws -> TransportHead {
        await wait { $0.answer != nil || $0.end != nil }
        return try condition.withLock {
            if case .failed(let error) = end { throw error }
            guard let answer else { throw TransportError.interrupted }
            return answer
        }
    }

    func nextChunk() async throws -> Data? {
        condition.withLock { isBeingRead = true }
        await wait { $0.buffer.count > 0 || $0.end != nil }
        return try condition.withLock {
            if let chunk = try takeChunk() {
                letGo()
                return chunk
            }
            switch end {
            case .complete: return nil
            case .failed(let error): throw error
            case nil: throw TransportError.interrupted
            }
        }
    }

    private func takeChunk() throws -> Data? {
        do {
            return try buffer.next(upTo: BodyBuffer.chunkLimit)
        } catch {
            throw TransportError.failed(detail: "the temporary file of a waiting body cannot be read")
        }
    }

    func cancel() throws {
        giveUp(.closed)
    }

    /// Waits until `isReady`. Closes the exchange after the idle timeout, or if the task is cancelled.
    private func wait(_ isReady: @escaping @Sendable (URLSessionExchange) -> Bool) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let resumed = condition.withLock { () -> CheckedContinuation<Void, Never>? in
                    if isReady(self) { return continuation }
                    let earlier = waiter?.continuation
                    waiter = Waiter(isReady: isReady, continuation: continuation)
                    waitingSince = .now()
                    watch()
                    return earlier
                }
                resumed?.resume()
            }
        } onCancel: {
            giveUp(.closed)
        }
    }

    /// Checks the clock when the idle timeout is over. Called with the lock.
    private func watch() {
        guard !watchIsOn else { return }
        watchIsOn = true
        DispatchQueue.global().asyncAfter(deadline: waitingSince + idleTimeout) { [weak self] in
            self?.lookAtClock()
        }
    }

    private func lookAtClock() {
        let isLate = condition.withLock { () -> Bool in
            watchIsOn = false
            let isLate = waiter != nil && .now() >= waitingSince + idleTimeout
            if waiter != nil, !isLate { watch() }
            return isLate
        }
        if isLate { giveUp(.timeout) }
    }

    /// Ends the exchange from our side.
    private func giveUp(_ error: TransportError) {
        var unwanted: URLSessionDataTask?
        change {
            buffer.removeAll()
            end = .failed(error)
            (unwanted, task) = (task, nil)
        }
        // On FoundationNetworking, `cancel` waits for the reading thread, which may be held now.
        if let unwanted { DispatchQueue.global().async { unwanted.cancel() } }
    }

    // MARK: The session's side

    /// Starts the task of this exchange.
    func begin(_ task: URLSessionDataTask) {
        let isWanted = condition.withLock {
            self.task = end == nil ? task : nil
            return end == nil
        }
        task.resume()
        if !isWanted { task.cancel() }
    }

    /// Stores the head of the answer.
    func received(_ response: URLResponse) {
        guard let response = response as? HTTPURLResponse else { return }
        change {
            answer = response.head
            announced = response.announcedLength
        }
    }

    /// Stores a part of the body. Holds the connection if enough is waiting.
    func received(_ data: Data) {
        change {
            guard end == nil else { return }
            received += Int64(data.count)
            do {
                try keep(data)
            } catch {
                end = .failed(.failed(detail: "the temporary file of a waiting body cannot be written"))
            }
            mostBuffered.note(buffer.countInMemory)
        }
        condition.withLock { hold() }
    }

    /// Handles the end of the task.
    func ended(_ error: (any Error)?) {
        change {
            task = nil
            guard end == nil else { return }
            // Not every session notices that a body ends before its announced length.
            let isShort = announced.map { received < $0 } ?? false
            end = error.map { .failed(TransportError($0)) } ?? (isShort ? .failed(.interrupted) : .complete)
        }
    }

    /// Makes a change that may end a wait.
    private func change(_ change: () -> Void) {
        let woken = condition.withLock { () -> CheckedContinuation<Void, Never>? in
            change()
            condition.broadcast()
            guard let waiter, waiter.isReady(self) else { return nil }
            self.waiter = nil
            return waiter.continuation
        }
        woken?.resume()
    }

    // MARK: Back-pressure, called with the lock

    #if canImport(FoundationNetworking)
    /// The thread that reads this body reads all others too, so a body that is not being read yet must not hold it.
    private func keep(_ data: Data) throws {
        if isBeingRead { try buffer.append(data) } else { try buffer.appendOverflowing(data) }
    }

    /// Keeps the reading thread here until there is room: see `URLSessionLane`.
    private func hold() {
        while end == nil, isBeingRead, buffer.count >= BodyBuffer.limit { condition.wait() }
    }

    private func letGo() {
        condition.broadcast()
    }
    #else
    private func keep(_ data: Data) throws {
        try buffer.append(data)
    }

    private func hold() {
        guard end == nil, !isHeld, buffer.count >= BodyBuffer.limit else { return }
        isHeld = true
        task?.suspend()
    }

    private func letGo() {
        guard isHeld, buffer.count <= BodyBuffer.limit / 2 else { return }
        isHeld = false
        task?.resume()
    }
    #endif
}
