#if canImport(AppleFoundation)
import AppleFoundation
import XCTest

@testable import Keyferry

/// Tests downloads into files, by a session of Linux in place of a background session.
final class BackgroundFileDownloadsTests: ApplePhone {
    func testAnAnswerIsDownloadedIntoAFileAndEndsWhenItIsDiscarded() async throws {
        let homeserver = try newHomeserver()
        let downloads = try newDownloads()
        let request = homeserver.everything
        try downloads.begin(name: "all", request: request)
        try downloads.begin(name: "all", request: request)
        try await eventually("the answer is here") {
            if case .ended = try downloads.state(name: "all") { true } else { false }
        }
        guard case .ended(let head, let path) = try downloads.state(name: "all") else { return XCTFail("not there") }
        XCTAssertEqual(head.status, 200)
        let body = try Data(contentsOf: URL(fileURLWithPath: path))
        XCTAssertTrue(String(decoding: body, as: UTF8.self).hasPrefix("{\"rooms\""))
        let asked = try await homeserver.requests(of: "all_keys")
        XCTAssertEqual(asked, 1, "one that is under way is not begun again")

        XCTAssertEqual(try downloads.names(), ["all"])
        try downloads.discard(name: "all")
        XCTAssertEqual(try downloads.names(), [])
        XCTAssertFalse(FileManager.default.fileExists(atPath: path))
    }

    func testAFailedDownloadTellsWhyAndAnotherMethodIsRefused() async throws {
        let homeserver = try newHomeserver(keys: 1)
        let downloads = try newDownloads()
        homeserver.stop()
        try downloads.begin(name: "all", request: homeserver.everything)
        try await eventually("the download has failed") {
            if case .failed = try downloads.state(name: "all") { true } else { false }
        }
        let put = TransportRequest(method: .put, url: "http://localhost", headers: [], body: nil, idleTimeout: .seconds(1))
        XCTAssertThrowsError(try downloads.begin(name: "put", request: put))
        downloads.discardAll(except: [])
        XCTAssertEqual(try downloads.names(), [])
    }

    func testADownloadOfADeadProcessIsBegunAgain() async throws {
        let directory = try newDirectory()
        let store = try FileDownloadStore(directory: directory)
        _ = try store.begin("all")
        let downloads = try BackgroundFileDownloads(identifier: "org.example.files", directory: directory)
        try await eventually("iOS does not know it") {
            try downloads.state(name: "all") == .failed(error: .interrupted)
        }
    }

    func testTheEventsOfASessionStartTheWork() async throws {
        let downloads = try newDownloads()
        let (steps, step) = AsyncStream.makeStream(of: String.self)
        downloads.handleEvents(completionHandler: { step.yield("completed") }) { step.yield("worked") }
        downloads.urlSessionDidFinishEvents(forBackgroundURLSession: .shared)
        let told = try await notHanging { await steps.prefix(2).reduce(into: [String]()) { $0.append($1) } }
        XCTAssertEqual(told, ["worked", "completed"])
    }

    private func newDownloads() throws -> BackgroundFileDownloads {
        try BackgroundFileDownloads(identifier: "org.example.files", directory: newDirectory())
    }
}
#endif
