package io.keyferry

import android.app.Activity
import android.app.Notification
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.Canvas
import android.graphics.Color
import android.view.View
import android.view.View.MeasureSpec
import android.widget.FrameLayout
import io.keyferry.android.R
import java.io.File
import kotlin.math.abs
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

private const val WIDTH = 360
private const val PADDING = 16

/** Differences in the rounding of colours that no eye sees. */
private const val TOLERANCE = 8

/**
 * Draws the progress view and the notification for the documentation, and compares them with the pictures there.
 * `-Dkeyferry.redraw=true` redraws these.
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
        for ((name, state) in states) check("android-$name.png", draw(progressView(state)))
    }

    @Test
    fun `the notification looks as in the documentation`() {
        val screen = screen()
        val notification = KeyBackupNotification(screen).of("@alice:example.org", States.working)
        val content = Notification.Builder.recoverBuilder(screen, notification).createBigContentView()
        check("android-notification.png", draw(content.apply(screen, FrameLayout(screen))))
    }

    private fun screen(): Activity {
        val activity = Robolectric.buildActivity(Activity::class.java)
        activity.get().setTheme(android.R.style.Theme_DeviceDefault_Light)
        return activity.setup().get()
    }

    private fun progressView(state: KeyBackupState) = KeyBackupProgressView(screen()).apply {
        setPadding(PADDING, PADDING, PADDING, PADDING)
        onAction = {}
        show(state)
    }

    private fun draw(view: View): Bitmap {
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
        val pixels = IntArray(drawn.width * drawn.height)
        drawn.getPixels(pixels, 0, drawn.width, 0, 0, drawn.width, drawn.height)
        assertTrue("$name is empty", pixels.count { it != Color.WHITE } > 500)
    }

    private fun isAlike(one: Int, other: Int): Boolean =
        listOf<(Int) -> Int>(Color::red, Color::green, Color::blue).all { abs(it(one) - it(other)) <= TOLERANCE }
}
