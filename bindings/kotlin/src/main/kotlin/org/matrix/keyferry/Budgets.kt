package org.matrix.keyferry

import kotlin.time.Duration
import org.matrix.keyferry.ffi.RunBudget

internal fun Duration?.toRunBudget(): RunBudget = RunBudget(this?.inWholeMilliseconds?.coerceAtLeast(0)?.toULong())
