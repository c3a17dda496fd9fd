package io.keyferry

import android.content.Context
import android.util.AttributeSet
import android.util.TypedValue
import android.view.Gravity
import android.view.View
import android.widget.Button
import android.widget.LinearLayout
import android.widget.ProgressBar
import android.widget.TextView
import io.keyferry.android.R

private const val STEPS = 1_000

/**
 * Shows how far the download is, what it waits for, and a button for what the user can do. A plain view, with the
 * styles of the app's theme.
 *
 * ```
 * view.onAction = { action -> … }
 * lifecycleScope.launch { backup.state.collect(view::show) }
 * ```
 */
public class KeyBackupProgressView @JvmOverloads constructor(
    context: Context,
    attributes: AttributeSet? = null,
) : LinearLayout(context, attributes) {
    private val title = TextView(context)
    private val bar = ProgressBar(context, null, android.R.attr.progressBarStyleHorizontal)
    private val detail = TextView(context)
    private val button = Button(context, null, android.R.attr.borderlessButtonStyle)

    /** Is called when the user presses the button. There is no button while this is `null`. */
    public var onAction: ((KeyBackupAction) -> Unit)? = null
        set(value) {
            field = value
            action?.let(::showButton)
        }

    private var action: KeyBackupAction? = null

    init {
        orientation = VERTICAL
        title.setTextAppearance(styleOf(android.R.attr.textAppearanceMedium))
        detail.setTextAppearance(styleOf(android.R.attr.textAppearanceSmall))
        // Read out when the state changes, and not at every key.
        title.accessibilityLiveRegion = ACCESSIBILITY_LIVE_REGION_POLITE
        bar.max = STEPS
        button.setOnClickListener { action?.let { onAction?.invoke(it) } }
        addView(title, LayoutParams(LayoutParams.MATCH_PARENT, LayoutParams.WRAP_CONTENT))
        addView(bar, LayoutParams(LayoutParams.MATCH_PARENT, LayoutParams.WRAP_CONTENT))
        addView(detail, LayoutParams(LayoutParams.MATCH_PARENT, LayoutParams.WRAP_CONTENT))
        val atEnd = LayoutParams(LayoutParams.WRAP_CONTENT, LayoutParams.WRAP_CONTENT).apply { gravity = Gravity.END }
        addView(button, atEnd)
        button.visibility = View.GONE
        bar.visibility = View.GONE
    }

    /** Shows [state]. Call it on the main thread, as often as the state changes. */
    public fun show(state: KeyBackupState) {
        val headline = resources.keyBackupTitle(state)
        if (title.text.toString() != headline) title.text = headline
        detail.text = resources.keyBackupDetail(state)
        bar.visibility = if (state.showsBar) View.VISIBLE else View.GONE
        bar.isIndeterminate = state is KeyBackupState.Working && state.progress.total == 0uL
        bar.progress = state.progress.partOf(STEPS)
        action = KeyBackupAction.of(state)
        showButton(action)
    }

    /** Returns what the theme names by [attribute]. */
    private fun styleOf(attribute: Int): Int {
        val found = TypedValue()
        context.theme.resolveAttribute(attribute, found, true)
        return found.resourceId
    }

    private fun showButton(action: KeyBackupAction?) {
        button.visibility = if (action == null || onAction == null) View.GONE else View.VISIBLE
        action?.let { button.setText(it.text) }
    }
}
