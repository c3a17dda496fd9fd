/// Reads a list of the vault page by page, as its elements are asked for.
actor Pager<Element: Sendable> {
    private let read: @Sendable (_ after: Int64?) async throws -> (elements: [Element], next: Int64?)
    private var page: ArraySlice<Element> = []
    private var after: Int64?
    private var isLast = false

    /// - Parameter read: Reads the page after a place, and returns its last place, or `nil` if it is the last page.
    init(_ read: @escaping @Sendable (_ after: Int64?) async throws -> (elements: [Element], next: Int64?)) {
        self.read = read
    }

    /// Returns the next element, or `nil` at the end.
    func next() async throws -> Element? {
        while page.isEmpty, !isLast {
            let (elements, next) = try await read(after)
            page = elements[...]
            after = next
            isLast = next == nil
        }
        return page.popFirst()
    }

    /// Returns the elements, as they are asked for.
    nonisolated var elements: AsyncThrowingStream<Element, any Error> {
        AsyncThrowingStream { try await self.next() }
    }
}
