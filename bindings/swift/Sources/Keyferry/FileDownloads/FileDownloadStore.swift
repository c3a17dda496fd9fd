import Foundation

/// Stores the downloads into files: a record and a body for each, in a directory where the next process finds them.
final class FileDownloadStore: @unchecked Sendable {
    private let lock = NSLock()
    private let directory: URL

    init(directory: URL) throws {
        self.directory = directory
        try FileManager.default.createDirectory(
            at: directory,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
    }

    /// Records a new attempt and returns its ticket; `nil` if one of that name is under way or has ended well.
    func begin(_ name: String) throws -> FileDownloadTicket? {
        guard FileDownloadTicket.fileName(for: name) != nil else {
            throw TransportError.failed(detail: "the name of a download is empty or too long")
        }
        return try lock.withLock { () throws -> FileDownloadTicket? in
            switch told(name) {
            case .underWay, .ended: return nil
            default: break
            }
            let ticket = FileDownloadTicket(name: name)
            try? FileManager.default.removeItem(at: file(name, "body"))
            do {
                try write(FileDownloadRecord(ticket: ticket, stage: .underWay))
            } catch {
                throw TransportError.failed(detail: "the record of a download cannot be written")
            }
            return ticket
        }
    }

    /// Returns how far the download of that name is.
    func state(of name: String) -> FileDownload {
        lock.withLock { told(name) }
    }

    /// Records an answer and takes its body from the file `body` (`nil`: an empty body). Ignores an attempt that was
    /// given up.
    func ended(_ ticket: FileDownloadTicket, _ head: TransportHead, body: URL?) {
        lock.withLock {
            guard isWanted(ticket) else { return }
            let place = file(ticket.name, "body")
            let stage: FileDownloadRecord.Stage
            do {
                try? FileManager.default.removeItem(at: place)
                if let body {
                    try FileManager.default.moveItem(at: body, to: place)
                } else {
                    try Data().write(to: place)
                }
                stage = FileDownloadRecord.Stage(head)
            } catch {
                stage = .failed(.other(detail: "the file cannot be kept"))
            }
            // If this fails, the download counts as under way until the OS no longer knows it; then it is begun
            // again.
            try? write(FileDownloadRecord(ticket: ticket, stage: stage))
        }
    }

    /// Records that there is no answer. Ignores an attempt that was given up.
    func failed(_ ticket: FileDownloadTicket, _ error: TransportError) {
        lock.withLock {
            guard isWanted(ticket) else { return }
            try? write(FileDownloadRecord(ticket: ticket, stage: .failed(FileDownloadRecord.Failure(error))))
        }
    }

    /// Forgets the download of that name and deletes its file.
    ///
    /// - Returns: The attempt that the OS may still be working on.
    func discard(_ name: String) -> FileDownloadTicket? {
        lock.withLock {
            let record = recorded(name)
            // The record first: a body without a record counts as no download.
            for kind in ["json", "body"] { try? FileManager.default.removeItem(at: file(name, kind)) }
            return record?.ticket
        }
    }

    /// Forgets every download except those of these names, and deletes their files, including files whose record is
    /// missing or cannot be read.
    func discardAll(except names: Set<String>) {
        lock.withLock {
            let kept = Set(names.compactMap { FileDownloadTicket.fileName(for: $0) })
            for kind in ["json", "body"] {
                for file in files(kind) where !kept.contains(file.deletingPathExtension().lastPathComponent) {
                    try? FileManager.default.removeItem(at: file)
                }
            }
        }
    }

    /// Returns the names of all downloads, whatever their stage.
    func names() -> [String] {
        lock.withLock { files("json").compactMap { read($0)?.ticket.name } }
    }

    /// Returns the attempts that the OS should be working on.
    func underWay() -> Set<FileDownloadTicket> {
        lock.withLock {
            let records = files("json").compactMap { read($0) }.filter { $0.stage == .underWay }
            return Set(records.map { $0.ticket })
        }
    }

    // MARK: Called with the lock

    /// Whether the attempt is the latest of its name and has no answer yet.
    private func isWanted(_ ticket: FileDownloadTicket) -> Bool {
        guard let record = recorded(ticket.name), record.ticket == ticket else { return false }
        if case .ended = record.stage { return false }
        return true
    }

    private func told(_ name: String) -> FileDownload {
        guard let record = recorded(name) else { return .unknown }
        let body = file(name, "body").path
        if case .ended = record.stage, !FileManager.default.fileExists(atPath: body) {
            return .failed(error: .interrupted)
        }
        return record.stage.told(path: body)
    }

    private func recorded(_ name: String) -> FileDownloadRecord? {
        FileDownloadTicket.fileName(for: name) == nil ? nil : read(file(name, "json"))
    }

    private func read(_ file: URL) -> FileDownloadRecord? {
        guard let data = try? Data(contentsOf: file) else { return nil }
        return try? JSONDecoder().decode(FileDownloadRecord.self, from: data)
    }

    private func write(_ record: FileDownloadRecord) throws {
        try JSONEncoder().encode(record).write(to: file(record.ticket.name, "json"), options: .atomic)
    }

    private func files(_ kind: String) -> [URL] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
        return names.filter { $0.hasSuffix("." + kind) }.map { directory.appendingPathComponent($0) }
    }

    private func file(_ name: String, _ kind: String) -> URL {
        directory.appendingPathComponent((FileDownloadTicket.fileName(for: name) ?? "none") + "." + kind)
    }
}
