import XCTest
@testable import Keyferry
