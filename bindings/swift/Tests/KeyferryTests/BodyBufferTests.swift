import XCTest

@testable import Keyferry

final class BodyBufferTests: XCTestCase {
    func testItHandsOutEveryByteInOrder() {
        var buffer = BodyBuffer()
        buffer.append(Data([1, 2, 3, 4, 5]))
        buffer.append(Data())
        buffer.append(Data([6]))
        XCTAssertEqual(buffer.count, 6)
        XCTAssertEqual(buffer.next(upTo: 2), Data([1, 2]))
        XCTAssertEqual(buffer.next(upTo: 2), Data([3, 4]))
        XCTAssertEqual(buffer.next(upTo: 2), Data([5]))
        XCTAssertEqual(buffer.count, 1)
        XCTAssertEqual(buffer.next(upTo: 2), Data([6]))
        XCTAssertNil(buffer.next(upTo: 2))
        XCTAssertEqual(buffer.count, 0)
    }
}
