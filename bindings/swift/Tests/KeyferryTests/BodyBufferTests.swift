import XCTest

@testable import Keyferry

final class BodyBufferTests: XCTestCase {
    func testABufferReturnsEveryByteInOrder() throws {
        var buffer = BodyBuffer()
        try buffer.append(Data([1, 2, 3, 4, 5]))
        try buffer.append(Data())
        try buffer.append(Data([6]))
        XCTAssertEqual(buffer.count, 6)
        XCTAssertEqual(try buffer.next(upTo: 2), Data([1, 2]))
        XCTAssertEqual(try buffer.next(upTo: 2), Data([3, 4]))
        XCTAssertEqual(try buffer.next(upTo: 2), Data([5]))
        XCTAssertEqual(buffer.count, 1)
        XCTAssertEqual(try buffer.next(upTo: 2), Data([6]))
        XCTAssertNil(try buffer.next(upTo: 2))
        XCTAssertEqual(buffer.count, 0)
    }

    func testBytesBeyondTheLimitGoToAFileAndAreReturnedInOrder() throws {
        var buffer = BodyBuffer()
        let chunks = (0..<20).map { Data(repeating: UInt8($0), count: 50_000) }
        for chunk in chunks.prefix(15) {
            try buffer.appendOverflowing(chunk)
            XCTAssertLessThanOrEqual(buffer.countInMemory, BodyBuffer.limit)
        }
        for chunk in chunks.suffix(5) { try buffer.append(chunk) }
        XCTAssertEqual(buffer.count, 1_000_000)
        var body = Data()
        while let piece = try buffer.next(upTo: BodyBuffer.chunkLimit) {
            XCTAssertLessThanOrEqual(piece.count, BodyBuffer.chunkLimit)
            body += piece
        }
        XCTAssertEqual(body, chunks.reduce(Data(), +))
        XCTAssertEqual(buffer.count, 0)
    }
}
