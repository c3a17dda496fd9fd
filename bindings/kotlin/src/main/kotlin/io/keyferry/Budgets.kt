package io.keyferry

import kotlin.time.Duration
import io.keyferry.ffi.RunBudget

internal fun Duration?.toRunBudget(): RunBudget = RunBudget(this?.inWholeMilliseconds?.coerceAtLeast(0)?.toULong())
