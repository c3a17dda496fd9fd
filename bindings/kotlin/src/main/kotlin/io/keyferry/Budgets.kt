package io.keyferry

import kotlin.time.Duration

internal fun Duration?.toRunBudget(): RunBudget = RunBudget(this)
