// A stub of Apple's SwiftUI: just enough of it to check the types of the package's view. It shows nothing.

import AppleFoundation

@MainActor
public protocol View {
    associatedtype Body: View
    @ViewBuilder var body: Body { get }
}

extension Never: View {
    public var body: Never { return fatalError("a stub") }
}

/// A view without content.
public protocol Leaf: View where Body == Never {}

extension Leaf {
    public var body: Never { return fatalError("a stub") }
}

@MainActor
@resultBuilder
public enum ViewBuilder {
    public static func buildExpression<Content: View>(_ content: Content) -> TupleView { TupleView() }
    public static func buildBlock(_ content: TupleView...) -> TupleView { TupleView() }
    public static func buildOptional(_ content: TupleView?) -> TupleView { TupleView() }
    public static func buildEither(first: TupleView) -> TupleView { first }
    public static func buildEither(second: TupleView) -> TupleView { second }
}

public struct TupleView: Leaf {}

public struct Text: Leaf {
    public init<Content: StringProtocol>(_ content: Content) {}
}

public struct Button: Leaf {
    public init<Title: StringProtocol>(_ title: Title, action: @escaping @MainActor () -> Void) {}
}

public struct ProgressView: Leaf {
    public init() {}
    public init<Value: BinaryFloatingPoint>(value: Value?, total: Value = 1.0) {}
}

public struct VStack<Content: View>: Leaf {
    public init(
        alignment: HorizontalAlignment = .center,
        spacing: Double? = nil,
        @ViewBuilder content: () -> Content
    ) {}
}

public enum HorizontalAlignment {
    case leading, center, trailing
}

public enum Font {
    case headline, subheadline
}

public enum HierarchicalShapeStyle {
    case primary, secondary
}

public enum LinearProgressViewStyle {
    case linear
}

public enum AccessibilityChildBehavior {
    case ignore, contain, combine
}

extension View {
    public func font(_ font: Font?) -> some View { self }
    public func foregroundStyle(_ style: HierarchicalShapeStyle) -> some View { self }
    public func progressViewStyle(_ style: LinearProgressViewStyle) -> some View { self }
    public func accessibilityElement(children: AccessibilityChildBehavior = .ignore) -> some View { self }
    public func task(_ action: @escaping @Sendable @MainActor () async -> Void) -> some View { self }
    public func task<ID: Equatable>(
        id value: ID,
        _ action: @escaping @Sendable @MainActor () async -> Void
    ) -> some View { self }
}

@MainActor
@propertyWrapper
public struct State<Value> {
    private final class Storage {
        var value: Value
        init(_ value: Value) { self.value = value }
    }

    private let storage: Storage

    public init(wrappedValue: Value) {
        storage = Storage(wrappedValue)
    }

    public init(initialValue: Value) {
        self.init(wrappedValue: initialValue)
    }

    public var wrappedValue: Value {
        get { storage.value }
        nonmutating set { storage.value = newValue }
    }
}
