#!/usr/bin/env python3
"""Makes the generated Swift code a part of the Keyferry module: reads it from stdin and writes it to stdout.

- What only the generated code itself uses is internal: converters, and the objects that the package wraps.
- The cases of errors begin with a small letter, as Swift's do.
- Comments write names as Swift does.
- Calls that may be ended at any moment end with their task.
- Lengths of time are of the type Duration, and points in time of the type Date.
- A section "# Errors" of a comment becomes "- Throws:".

Fails if it does not find what it is for, because the generator has changed then.
"""
import re
import sys

# The objects, records and functions that classes of the package stand for.
WRAPPED = [
    "KeyBackupClient", "KeyBackupClientProtocol", "KeyDownload", "KeyDownloadProtocol", "KeyBackupPreference",
    "KeyBackupPreferenceProtocol", "BackupReset", "BackupResetProtocol", "KeyUpload", "KeyUploadProtocol",
    "ClientOptions", "RunBudget", "EntryPage", "ConflictPage", "RefusedPage", "RoomKeyPage", "JobHost", "setVaultAside", "initLogging",
]

# Functions that have another name in the package.
OTHERWISE_NAMED = {"prove_room_key": "prove", "find_room_key": "roomKey"}

# Functions of which nothing is lost if they are ended anywhere.
CANCELLABLE = ["fetchSession", "fetchRoom", "refresh", "flush"]


def changed(pattern, replacement, text):
    """Replaces all matches; there must be one."""
    text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
    if count == 0:
        sys.exit(f"the generated code has nothing like {pattern}")
    return text


def hide(text):
    """Makes internal what apps do not use."""
    text = changed(r"^open class ", "final class ", text)
    text = changed(r"^open func ", "func ", text)
    text = changed(r"^public (struct|func) (FfiConverter|uniffi)", r"\1 \2", text)
    for name in WRAPPED:
        if re.search(rf"^final class {name}\b", text, flags=re.MULTILINE):
            continue
        text = changed(rf"^public ((?:struct|protocol|func) {name}\b)", r"\1", text)
    return changed(r"^import (Keyferry\w+)$", r"internal import \1", text)


def with_small_cases(text):
    """Renames the cases of errors, in their declarations and in their converters."""
    for error in re.findall(r"^(?:public )?enum (\w+): Swift\.Error", text, flags=re.MULTILINE):
        declaration = rf"^(?:public )?enum {error}: .*?^}}"
        converter = rf"^struct FfiConverterType{error}: .*?^}}"
        cases = re.findall(r"^    case (\w+)", block(declaration, text), flags=re.MULTILINE)
        for pattern in (declaration, converter):
            text = text.replace(block(pattern, text), with_small(cases, block(pattern, text)))
    left = re.findall(r"^    case [A-Z]\w*", text, flags=re.MULTILINE)
    if left:
        sys.exit(f"cases with a capital letter are left: {left}")
    return text


def block(pattern, text):
    return re.search(pattern, text, flags=re.MULTILINE | re.DOTALL).group()


def with_small(cases, code):
    for case in cases:
        small = case[0].lower() + case[1:]
        declared = f"`{small}`" if small == "internal" else small
        code = re.sub(rf"^    case {case}\b", f"    case {declared}", code, flags=re.MULTILINE)
        code = re.sub(rf"(return|case|case let) \.{case}\b", rf"\1 .{small}", code)
    return code


def named_as_here(text):
    """Writes the names in comments as Swift does."""
    enums = "|".join(re.findall(r"^(?:public )?enum (\w+)", text, flags=re.MULTILINE))
    text = re.sub(rf"`({enums})\.([A-Z])", lambda found: f"`{found[1]}.{found[2].lower()}", text)
    text = re.sub(r"^ *\* .*`None`.*$", lambda line: line.group().replace("`None`", "`nil`"), text, flags=re.MULTILINE)
    return re.sub(r"`((?:[A-Z]\w*\.)?)([a-z]+(?:_[a-z]+)+)`", lambda found: f"`{found[1]}{camel(found[2])}`", text)


def camel(name):
    if name in OTHERWISE_NAMED:
        return OTHERWISE_NAMED[name]
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def with_plain_types(text):
    """Writes types as apps know them, in place of the names that they have in the crate."""
    text = changed(r"^public typealias Milliseconds = Duration\n", "", text)
    return changed(r"\bMilliseconds\b", "Duration", text)


def with_dates(text):
    """Makes a Date of what is a number of milliseconds since 1970."""
    text = changed(r"\bsinceMs: UInt64\b", "since: Date", text)
    for before, after in (
        (r"\bsinceMs: (?:try )?(FfiConverterUInt64\.read\(from: &buf\))", r"since: Date(millisecondsSince1970: \1)"),
        (r"FfiConverterUInt64\.write\(value\.sinceMs,", "FfiConverterUInt64.write(value.since.millisecondsSince1970,"),
        (r"\bsinceMs\b", "since"),
        ("in milliseconds since 1970", "by the clock of the device"),
    ):
        text = changed(before, after, text)
    return text


def with_throws(text):
    """Turns the section on errors, the last one of a comment, into Swift's form."""
    return re.sub(
        r"^( *)\* # Errors\n((?: *\* .*\n)+)( *\*/)",
        lambda found: f"{found[1]}* - Throws: {indented(found[2])}{found[3]}",
        text,
        flags=re.MULTILINE,
    )


def indented(lines):
    first, *rest = re.sub(r"^( *\*) ", r"\1   ", lines, flags=re.MULTILINE).splitlines(keepends=True)
    return "".join([first.split("* ", 1)[1].lstrip(), *rest])


def with_every_name(text):
    """Completes a renaming of uniffi.toml: the generator (0.32) forgets it where a record prints itself."""
    return changed("FfiConverterTypeHttpHeader_", "FfiConverterTypeTransportHeader_", text)


def with_checked_tasks(text):
    """Tells Swift 6 that the closures of a callback go to one task only. Without it, the compiler of Swift 6.0 crashes."""
    for names in (["makeCall", "handleSuccess", "handleError"], ["makeCall", "handleSuccess", "handleError", "lowerError"]):
        parameters = "".join(rf"    {name}: @escaping .*\n" for name in names)
        sent = "".join(f"    let {name} = SentOnce(value: {name})\\n" for name in names)
        taken = "".join(f"\\n        let {name} = {name}.value" for name in names)
        text = changed(
            rf"({parameters}    droppedCallback: .*\n\) {{\n)(    let task = Task {{)$", rf"\1{sent}\2{taken}", text
        )
    return text + SENT_ONCE


def with_cancellation(text):
    """Lets some calls end with their task: `Calls/FutureCancellation.swift` says how."""
    text = changed(r'fatalError\("Cancellation not supported yet"\)', "throw CancellationError()", text)
    for before, after in (
        (
            r"(fileprivate func uniffiRustCallAsync<F, T>\(\n)",
            r"\1    cancelFunc: (@Sendable (UInt64) -> ())? = nil,\n",
        ),
        (
            r"    let rustFuture = rustFutureFunc\(\)\n    defer \{\n",
            "    let rustFuture = rustFutureFunc()\n"
            "    let cancellation = FutureCancellation(of: rustFuture, by: cancelFunc)\n"
            "    defer {\n        cancellation.markOver()\n",
        ),
        (r"    var pollResult: Int8;\n    repeat \{", "    var pollResult: Int8 = 0\n"
         "    await withTaskCancellationHandler {\n    repeat {"),
        (r"(    \} while pollResult != UNIFFI_RUST_FUTURE_POLL_READY)", r"\1\n    } onCancel: { cancellation.cancel() }"),
    ):
        text = changed(before, after, text)
    for function in CANCELLABLE:
        text = changed(
            rf"^(func {function}\([^{{]*\{{\n    return\n        try  await uniffiRustCallAsync\(\n)"
            r"((?:.*\n)*?.*completeFunc: ffi_keyferry_rust_future_complete_(\w+),)",
            r"\1            cancelFunc: { ffi_keyferry_rust_future_cancel_\3($0) },\n\2",
            text,
        )
    return text


SENT_ONCE = """
/// A value that is sent to one task, and used by no other.
private struct SentOnce<Value>: @unchecked Sendable {
    let value: Value
}
"""


STEPS = [
    with_every_name, with_checked_tasks, hide, with_cancellation, with_small_cases, named_as_here, with_plain_types, with_dates,
    with_throws,
]


def main():
    text = sys.stdin.read()
    for step in STEPS:
        text = step(text)
    sys.stdout.write(text)


main()
