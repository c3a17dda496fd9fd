/// The moment at which the time for some work is over.
struct Deadline: Sendable {
    private let end: ContinuousClock.Instant?

    /// - Parameter budget: The time from now on; `nil`: without a limit.
    init(after budget: Duration?) {
        end = budget.map { ContinuousClock.now + $0 }
    }

    /// The time that is left, at least zero; `nil`: without a limit.
    var left: Duration? { end.map { max(.zero, $0 - .now) } }
}
