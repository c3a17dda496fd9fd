#!/usr/bin/env python3
"""Makes the generated Kotlin code a part of the package io.keyferry: reads it from stdin and writes it to stdout.

- What only the generated code and the package itself use is internal: converters, and the objects that classes wrap.
- Types have the names that apps know.
- Exceptions have one supertype, and the sentence of the crate as their message.
- Comments write names as Kotlin does.

Fails if it does not find what it is for, because the generator has changed then.
"""
import re
import sys

# The objects, records and functions that classes of the package stand for.
WRAPPED = [
    "KeyBackupClient", "KeyBackupClientInterface", "KeyDownload", "KeyDownloadInterface", "KeyBackupPreference",
    "KeyBackupPreferenceInterface", "BackupReset", "BackupResetInterface", "KeyUpload", "KeyUploadInterface",
    "RunBudget", "EntryPage", "ConflictPage", "RefusedPage", "RoomKeyPage", "JobHost",
]

# What the generator needs and apps do not, besides the names that begin with these words.
MACHINERY = [
    "RustBuffer", "InternalException", "Disposable", "UniffiRustCallStatusErrorHandler", "UniffiCleaner",
    "UniffiNullRustCallStatusErrorHandler", "UniffiWithHandle", "NoHandle",
]

# What the app throws: these are not errors of the library.
THROWN_BY_APPS = ["HostException", "SinkException", "CryptoException", "TransportException"]

MODIFIERS = r"(?:abstract |annotation |data |enum |inline |inner |open |sealed |suspend )*"


def changed(pattern, replacement, text):
    """Replaces all matches; there must be one."""
    text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
    if count == 0:
        sys.exit(f"the generated code has nothing like {pattern}")
    return text


def hidden(text):
    """Makes internal what apps do not use."""
    text = changed(r"^(?:public )?((?:object|interface|abstract class|typealias) FfiConverter)", r"internal \1", text)
    text = changed(r"^(open class \w+Impl\b)", r"internal \1", text)
    text = changed(r"^public (fun uniffi)", r"internal \1", text)
    text = changed(r"^( *)(companion object ErrorHandler)", r"\1internal \2", text)
    text = changed(r"^(inline fun <T : Disposable\?, R> T\.use)", r"internal \1", text)
    text = changed(r"^ *(suspend fun `setVaultAside`)", r"internal \1", text)
    for name in WRAPPED + MACHINERY:
        text = changed(rf"^(?:public )?({MODIFIERS}(?:class|interface|object) {name}\b)", r"internal \1", text)
    return text


def with_plain_types(text):
    """Writes types as apps know them, in place of the names that they have in the crate."""
    for name, plain in (("SecretString", "kotlin.String"), ("SecretBytes", "kotlin.ByteArray"), ("Milliseconds", "Duration")):
        text = changed(rf"^public typealias {name} = .*\n", "", text)
        text = changed(rf"\b(?:io\.keyferry\.)?{name}\b", plain, text)
    return text


def with_one_supertype(text):
    """Gives the errors of the library their supertype, and all errors the sentence of the crate as message."""
    text = changed(r"^(sealed class \w+): kotlin\.Exception\(\)", r"\1: KeyBackupException()", text)
    for name in THROWN_BY_APPS:
        text = changed(rf"^(sealed class {name}): KeyBackupException\(\)", r"\1: kotlin.Exception()", text)
    errors = re.compile(
        r"^sealed class \w+: (?:kotlin\.|KeyBackup)Exception\(\) \{\n.*?^    internal companion object", re.MULTILINE | re.DOTALL
    )
    return errors.sub(lambda error: with_sentence(error.group()), text)


def with_sentence(error):
    # The generator makes the message from the fields, which must not be shown, and has the sentence in toString().
    error = re.sub(r"^ +override val message\n.*\n", "", error, flags=re.MULTILINE)
    body = r"override fun toString\(\): String \{\n( +return FfiConverterString\.lift\((?:.*\n)+?    \))\n    \}"
    return changed(body, lambda found: f"override val message: String get() = sentenceOf {{\n{sentence(found[1])}\n    }}", error)


def sentence(code):
    return re.sub(r"^ +return ", "        ", code)


def named_as_here(text):
    """Writes the names in comments as Kotlin does."""
    enums = "|".join(re.findall(r"^enum class (\w+)", text, flags=re.MULTILINE))
    return re.sub(r"/\*\*.*?\*/", lambda comment: comment_as_here(comment.group(), enums), text, flags=re.DOTALL)


def comment_as_here(comment, enums):
    comment = re.sub(rf"`({enums})\.([A-Z]\w*)`", lambda found: f"`{found[1]}.{shouted(found[2])}`", comment)
    comment = re.sub(r"`(\w+)Error\b", r"`\1Exception", comment)
    comment = comment.replace("`None`", "`null`")
    return re.sub(r"`((?:[A-Z]\w*\.)?)([a-z]+(?:_[a-z]+)+)`", lambda found: f"`{found[1]}{camel(found[2])}`", comment)


def shouted(name):
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()


def camel(name):
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


STEPS = [with_plain_types, hidden, with_one_supertype, named_as_here]


def main():
    text = sys.stdin.read()
    for step in STEPS:
        text = step(text)
    sys.stdout.write(text)


main()
