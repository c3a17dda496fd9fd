// A stub of Apple's UIKit, as far as the package uses it.

import AppleFoundation

@MainActor
public final class UIApplication {
    public enum State {
        case active, inactive, background
    }

    public struct LaunchOptionsKey: Hashable, Sendable {}

    public static let shared = UIApplication()

    /// What a test sets.
    public var applicationState = State.active

    public nonisolated static let didEnterBackgroundNotification = name("DidEnterBackground")
    public nonisolated static let didBecomeActiveNotification = name("DidBecomeActive")
    public nonisolated static let willEnterForegroundNotification = name("WillEnterForeground")
    public nonisolated static let protectedDataWillBecomeUnavailableNotification = name("ProtectedDataWillBecomeUnavailable")
    public nonisolated static let protectedDataDidBecomeAvailableNotification = name("ProtectedDataDidBecomeAvailable")

    private nonisolated static func name(_ event: String) -> Notification.Name {
        Notification.Name("UIApplication\(event)Notification")
    }
}

@MainActor
public protocol UIApplicationDelegate: AnyObject {
    func application(
        _ application: UIApplication,
        didFinishLaunchingWithOptions launchOptions: [UIApplication.LaunchOptionsKey: Any]?
    ) -> Bool
}
