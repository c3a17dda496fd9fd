import XCTest

@testable import Keyferry

final class DurationTests: XCTestCase {
    func testAnyTimeBecomesMilliseconds() {
        XCTAssertEqual(Duration.milliseconds(1_500).milliseconds, 1_500)
        XCTAssertEqual(Duration.seconds(-1).milliseconds, 0)
        XCTAssertEqual(Duration.milliseconds(-1).milliseconds, 0)
        XCTAssertGreaterThan(Duration.seconds(Int64.max).milliseconds, 1_000_000_000_000)
        XCTAssertEqual(Duration.milliseconds(2_500).timeInterval, 2.5)
        XCTAssertEqual(Date(millisecondsSince1970: 1_234).millisecondsSince1970, 1_234)
        XCTAssertEqual(Date(timeIntervalSince1970: -1).millisecondsSince1970, 0)
    }
}
