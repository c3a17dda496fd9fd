package org.matrix.keyferry.android

import android.app.Activity
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.Canvas
import android.graphics.Color
import android.view.View.MeasureSpec
import java.io.File
import kotlin.math.abs
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.matrix.keyferry.KeyBackupState
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

private const val WIDTH = 360
private const val PADDING = 16

/** Differences in the rounding of colours that no eye sees. */
private const val TOLERANCE = 8

/**
 * Draws the progress view for the documentation, and compares it with the pictures there. `-Dkeyferry.redraw=true` writes
 * them anew.
 */
@RunWith(RobolectricTestRunner::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(qualifiers = "w400dp-h800dp-notnight-mdpi")
internal class PicturesTest {
    private val pictures = File(System.getProperty("keyferry.pictures")!!)
    private val redraws = System.getProperty("keyferry.redraw") == "true"

    @Test
    fun `the progress view looks as in the documentation`() {
        val states = mapOf(
            "progress" to States.working,
            "metered" to States.metered,
            "recovery-key" to States.needsUnlock,
            "error" to States.failed,
            "done" to States.done,
        )
        for ((name, state) in states) check("android-$name.png", draw(state))
    }

    private fun draw(state: KeyBackupState): Bitmap {
        val activity = Robolectric.buildActivity(Activity::class.java)
        activity.get().setTheme(android.R.style.Theme_DeviceDefault_Light)
        val view = KeyBackupProgressView(activity.setup().get())
        view.setPadding(PADDING, PADDING, PADDING, PADDING)
        view.onAction = {}
        view.show(state)
        view.measure(MeasureSpec.makeMeasureSpec(WIDTH, MeasureSpec.EXACTLY), MeasureSpec.UNSPECIFIED)
        view.layout(0, 0, view.measuredWidth, view.measuredHeight)
        val bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
        val canvas = Canvas(bitmap)
        canvas.drawColor(Color.WHITE)
        view.draw(canvas)
        return bitmap
    }

    private fun check(name: String, drawn: Bitmap) {
        val file = File(pictures, name)
        if (redraws) {
            pictures.mkdirs()
            file.outputStream().use { drawn.compress(Bitmap.CompressFormat.PNG, 100, it) }
        }
        val kept = checkNotNull(BitmapFactory.decodeFile(file.path)) { "no $file" }
        assertTrue("$name has another size", kept.width == drawn.width && kept.height == drawn.height)
        val different = (0 until kept.width * kept.height).count { index ->
            val (x, y) = index % kept.width to index / kept.width
            !isAlike(kept.getPixel(x, y), drawn.getPixel(x, y))
        }
        assertTrue("$name: $different pixels differ; redraw it", different == 0)
        val ink = (0 until drawn.width * drawn.height).count { drawn.getPixel(it % drawn.width, it / drawn.width) != Color.WHITE }
        assertTrue("$name is empty", ink > 500)
    }

    private fun isAlike(one: Int, other: Int): Boolean =
        listOf(Color.red(one) - Color.red(other), Color.green(one) - Color.green(other), Color.blue(one) - Color.blue(other))
            .all { abs(it) <= TOLERANCE }
}
