import XCTest

@testable import Keyferry

final class FileDownloadTests: BackupTestCase {
    private let fileName = "room 1 of !Room:example.org"
    private let head = TransportHead(
        status: 200,
        headers: [TransportHeader(name: "Retry-After", value: "7"), TransportHeader(name: "Set-Cookie", value: "a=b")]
    )

    func testAnAnswerIsKeptForTheNextProcess() throws {
        let directory = try newDirectory()
        let store = try FileDownloadStore(directory: directory)
        XCTAssertEqual(store.state(of: fileName), .unknown)
        let ticket = try XCTUnwrap(store.begin(fileName))
        XCTAssertEqual(store.state(of: fileName), .underWay)
        XCTAssertNil(try store.begin(fileName), "a download of that name is under way")
        XCTAssertEqual(store.underWay(), [ticket])

        store.ended(ticket, head, body: try body("the body"))

        let next = try FileDownloadStore(directory: directory)
        guard case .ended(let kept, let path) = next.state(of: fileName) else {
            return XCTFail("the state is \(next.state(of: fileName))")
        }
        XCTAssertEqual(kept.status, 200)
        XCTAssertEqual(kept.headers, [TransportHeader(name: "Retry-After", value: "7")], "no cookie is kept")
        XCTAssertEqual(try String(contentsOfFile: path, encoding: .utf8), "the body")
        XCTAssertNil(try next.begin(fileName))
        XCTAssertEqual(next.underWay(), [])
        XCTAssertEqual(next.discard(fileName), ticket)
        XCTAssertEqual(next.state(of: fileName), .unknown)
        XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: directory.path), [])
        XCTAssertNil(next.discard(fileName), "discarding an unknown name is allowed")
    }

    func testALateAnswerToADiscardedDownloadIsIgnored() throws {
        let store = try FileDownloadStore(directory: newDirectory())
        let first = try XCTUnwrap(store.begin(fileName))
        _ = store.discard(fileName)
        let second = try XCTUnwrap(store.begin(fileName))

        store.ended(first, head, body: try body("old"))
        store.failed(first, .offline)
        XCTAssertEqual(store.state(of: fileName), .underWay)
        store.ended(second, head, body: try body("new"))
        store.ended(second, head, body: try body("again"))
        store.failed(second, .offline)

        guard case .ended(_, let path) = store.state(of: fileName) else { return XCTFail("it must have ended") }
        XCTAssertEqual(try String(contentsOfFile: path, encoding: .utf8), "new")
    }

    func testAFailedDownloadReportsItsErrorAndCanBeginAgain() throws {
        let store = try FileDownloadStore(directory: newDirectory())
        let table: [(TransportError, TransportError)] = [
            (.offline, .offline), (.timeout, .timeout), (.tls, .tls), (.interrupted, .interrupted),
            (.closed, .interrupted), (.failed(detail: "x"), .failed(detail: "x")),
        ]
        for (error, told) in table {
            let ticket = try XCTUnwrap(store.begin(fileName), "a failed download can begin again")
            store.failed(ticket, error)
            XCTAssertEqual(store.state(of: fileName), .failed(error: told))
        }
        let ticket = try XCTUnwrap(store.begin(fileName))
        store.failed(ticket, .interrupted)
        store.ended(ticket, head, body: nil)
        guard case .ended(_, let path) = store.state(of: fileName) else { return XCTFail("a late answer counts") }
        XCTAssertEqual(try Data(contentsOf: URL(fileURLWithPath: path)), Data())
        try FileManager.default.removeItem(atPath: path)
        XCTAssertEqual(store.state(of: fileName), .failed(error: .interrupted), "the file was deleted from outside")
    }

    func testDiscardAllKeepsOnlyTheWantedDownloads() throws {
        let directory = try newDirectory()
        let store = try FileDownloadStore(directory: directory)
        let names = ["under way", "ended", "failed", "Ended"]
        let tickets = try names.map { try XCTUnwrap(store.begin($0)) }
        store.ended(tickets[1], head, body: try body("wanted"))
        store.failed(tickets[2], .tls)
        store.ended(tickets[3], head, body: try body("unwanted"))
        for left in ["gone.body", "damaged.json"] { try Data("{".utf8).write(to: directory.appendingPathComponent(left)) }

        store.discardAll(except: ["ended", "under way", "never begun", ""])

        XCTAssertEqual(store.underWay(), [tickets[0]])
        guard case .ended(_, let path) = store.state(of: "ended") else { return XCTFail("it must be kept") }
        XCTAssertEqual(try String(contentsOfFile: path, encoding: .utf8), "wanted")
        for name in ["failed", "Ended"] { XCTAssertEqual(store.state(of: name), .unknown, name) }
        XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: directory.path).count, 3)
        // A late answer to a download that was discarded.
        store.ended(tickets[2], head, body: try body("late"))
        XCTAssertEqual(store.state(of: "failed"), .unknown)

        store.discardAll(except: [])

        XCTAssertEqual(store.underWay(), [])
        XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: directory.path), [])
        XCTAssertNotNil(try store.begin("ended"), "a name can be used again")
    }

    func testSimilarNamesDoNotCollideAndInvalidNamesAreRejected() throws {
        let store = try FileDownloadStore(directory: newDirectory())
        let names = ["a", "A", "a/b", "a_b", "../a", "ä", "_41_", ".", " a "]
        let tickets = try names.map { try XCTUnwrap(store.begin($0)) }
        XCTAssertEqual(store.underWay(), Set(tickets))
        XCTAssertEqual(Set(store.names()), Set(names))
        XCTAssertEqual(Set(names.map { FileDownloadTicket.fileName(for: $0)?.lowercased() }).count, names.count)
        for (fileName, ticket) in zip(names, tickets) {
            XCTAssertEqual(FileDownloadTicket(text: ticket.text), ticket)
            XCTAssertEqual(store.discard(fileName), ticket)
        }
        for text in [nil, "", "x", "not-a-uuid name"] as [String?] { XCTAssertNil(FileDownloadTicket(text: text)) }
        for fileName in ["", String(repeating: "a", count: 201)] {
            XCTAssertThrowsError(try store.begin(fileName))
            XCTAssertEqual(store.state(of: fileName), .unknown)
            XCTAssertNil(store.discard(fileName))
        }
    }

    func testAnAnswerFromAnotherAddressIsRejected() throws {
        let asked = try XCTUnwrap(URL(string: "http://matrix.example.org/_matrix/a%2Fb?version=2"))
        let table = [
            ("http://matrix.example.org/_matrix/a%2Fb?version=2", true),
            ("HTTP://Matrix.Example.org/_matrix/a%2Fb?version=2", true),
            ("https://matrix.example.org/_matrix/a%2Fb?version=2", true),
            ("http://matrix.example.com/_matrix/a%2Fb?version=2", false),
            ("http://matrix.example.org:8008/_matrix/a%2Fb?version=2", false),
            ("http://matrix.example.org/_matrix/a/b?version=2", false),
            ("http://matrix.example.org/_matrix/a%2Fb?version=3", false),
            ("http://matrix.example.org/_matrix/a%2Fb", false),
        ]
        for (place, same) in table { XCTAssertEqual(asked.isAnswered(from: URL(string: place)), same, place) }
        XCTAssertFalse(asked.isAnswered(from: nil))
        let secure = try XCTUnwrap(URL(string: "https://a/b"))
        XCTAssertFalse(secure.isAnswered(from: URL(string: "http://a/b")))
    }

    private func body(_ text: String) throws -> URL {
        let file = try newDirectory().appendingPathComponent("part")
        try Data(text.utf8).write(to: file)
        return file
    }
}
