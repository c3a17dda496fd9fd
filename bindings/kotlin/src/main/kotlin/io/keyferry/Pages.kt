package io.keyferry

import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow

/** Reads a list from the vault page by page, while it is collected. */
internal fun <T> pages(read: suspend (after: Long?) -> Pair<List<T>, Long?>): Flow<T> = flow {
    var after: Long? = null
    do {
        val (items, next) = read(after)
        items.forEach { emit(it) }
        after = next
    } while (after != null)
}

/** Reads the keys that arrived after [cursor] page by page, while they are collected. Leaves out empty pages. */
internal fun arrivedPages(
    cursor: ArrivalCursor,
    read: suspend (after: ArrivalCursor) -> ArrivedPage,
): Flow<ArrivedPage> = flow {
    var next = cursor
    do {
        val page = read(next)
        if (page.arrived.isNotEmpty()) emit(page)
        next = page.next
    } while (page.more)
}
