package io.keyferry

import java.io.File
import java.util.zip.ZipFile
import javax.xml.parsers.DocumentBuilderFactory
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.w3c.dom.Element

private const val PAGE = 16 * 1024

/** Looks at what was packed for apps, in the repository that the build has filled. */
internal class PackedAarTest {
    private val version = System.getProperty("keyferry.version")!!
    private val artifacts = File(System.getProperty("keyferry.repository")!!)
    private val aar = artifact("keyferry-android", "aar")
    private val app = File(System.getProperty("keyferry.app")!!)

    @Test
    fun `it has what an app's build looks for, and no class of resource ids`() {
        val entries = entriesOf(aar)
        val wanted = listOf(
            "AndroidManifest.xml", "classes.jar", "R.txt", "META-INF/com/android/build/gradle/aar-metadata.properties",
            "proguard.txt", "assets/keyferry/licences.txt",
            "res/values/strings.xml", "res/values-de/strings.xml", "res/drawable/keyferry_notification.xml",
        )
        assertEquals(emptyList<String>(), wanted - entries)
        assertTrue(entries.any { it.matches(Regex("jni/[a-z0-9_-]+/libkeyferry\\.so")) })
        val classes = entriesOf(app.resolve("aar/classes.jar"))
        assertFalse(classes.any { it.endsWith("/R.class") || "/R$" in it })
        assertTrue("io/keyferry/KeyBackupWorker.class" in classes)
        val licences = app.resolve("aar/assets/keyferry/licences.txt").readText()
        for (name in listOf("aws-lc-sys", "rusqlite", "uniffi_core", "Mozilla Public License")) assertTrue(name, name in licences)
    }

    @Test
    fun `every library is aligned to pages of 16 KiB, and its symbols are beside it`() {
        for (library in app.resolve("aar/jni").walk().filter { it.extension == "so" }) {
            val segments = output("readelf", "-lW", library.path).lines().filter { it.trim().startsWith("LOAD") }
            assertTrue(segments.isNotEmpty())
            for (segment in segments) {
                val alignment = segment.trim().substringAfterLast(' ').removePrefix("0x").toInt(radix = 16)
                assertEquals(segment, 0, alignment % PAGE)
            }
            val sections = output("readelf", "-SW", library.path)
            assertFalse("it has symbols", " .symtab " in sections || " .debug_info " in sections)
            val symbols = File(System.getProperty("keyferry.symbols")!!, "${library.parentFile.name}/libkeyferry.so.debug")
            assertTrue(" .symtab " in output("readelf", "-SW", symbols.path))
        }
    }

    @Test
    fun `its POM asks for what it needs, and for the AAR of JNA`() {
        val pom = artifact("keyferry-android", "pom").parse()
        assertEquals("aar", pom.text("packaging"))
        val dependencies = pom.children("dependency").associate { it.text("artifactId") to (it.text("type") ?: "jar") }
        assertEquals(
            mapOf(
                "keyferry-kotlin" to "jar",
                "jna" to "aar",
                "kotlinx-coroutines-android" to "jar",
                "work-runtime" to "aar",
                "lifecycle-process" to "aar",
            ),
            dependencies,
        )
        val kotlin = artifact("keyferry-kotlin", "pom").parse().children("dependency")
        assertEquals("provided", kotlin.single { it.text("artifactId") == "jna" }.text("scope"))
    }

    @Test
    fun `the jar for JVMs has the library where JNA looks for it, and the jar of classes has none`() {
        val machine = if (System.getProperty("os.arch") == "aarch64") "linux-aarch64" else "linux-x86-64"
        val entries = entriesOf(artifact("keyferry-jvm", "jar"))
        assertTrue("$machine/libkeyferry.so" in entries)
        assertTrue("META-INF/keyferry/licences.txt" in entries)
        assertFalse(entriesOf(artifact("keyferry-kotlin", "jar")).any { it.endsWith(".so") })
    }

    @Test
    fun `beside each artifact are a POM that stands alone, the sources and the documentation`() {
        for ((name, source, page) in listOf(
            Triple("keyferry-android", "io/keyferry/KeyBackupWorker.kt", "keyferry-android/io.keyferry/-key-backup-worker/index.html"),
            Triple("keyferry-kotlin", "io/keyferry/KeyBackupApi.kt", "keyferry-kotlin/io.keyferry/-key-backup-api/index.html"),
            Triple("keyferry-testing", "io/keyferry/testing/FakeKeyBackup.kt", "keyferry-testing/io.keyferry.testing/-fake-key-backup/index.html"),
            Triple("keyferry-jvm", "lib.rs", null),
        )) {
            val pom = artifact(name, "pom").parse()
            assertEquals(name, emptyList<Element>(), pom.children("parent"))
            assertEquals(name, listOf("Apache-2.0"), pom.children("license").map { it.text("name") })
            val published = (pom.children("groupId") + pom.children("version")).map { it.textContent }
            assertEquals(name, emptyList<String>(), published.filter { it == "keyferry" || it == "local" })
            assertTrue(name, source in entriesOf(artifact(name, "jar", "-sources")))
            val pages = entriesOf(artifact(name, "jar", "-javadoc"))
            assertTrue("$name: ${pages.take(20)}", page == null || page in pages)
        }
    }

    @Test
    fun `its manifest names its services, and asks for no permission but these`() {
        val manifest = app.resolve("aar/AndroidManifest.xml").parse()
        val permissions = manifest.children("uses-permission").map { it.getAttribute("android:name").substringAfterLast('.') }
        assertEquals(
            setOf(
                "INTERNET", "ACCESS_NETWORK_STATE", "POST_NOTIFICATIONS", "RUN_USER_INITIATED_JOBS",
                "FOREGROUND_SERVICE", "FOREGROUND_SERVICE_DATA_SYNC",
            ),
            permissions.toSet(),
        )
        val services = manifest.children("service").associateBy { it.getAttribute("android:name") }
        val job = services.getValue("io.keyferry.KeyBackupJobService")
        assertEquals("android.permission.BIND_JOB_SERVICE", job.getAttribute("android:permission"))
        assertTrue((manifest.children("service") + manifest.children("receiver")).all { it.getAttribute("android:exported") != "true" })
    }

    private fun artifact(name: String, extension: String, classifier: String = "") =
        artifacts.resolve("$name/$version/$name-$version$classifier.$extension")

    private fun entriesOf(file: File): Set<String> = ZipFile(file).use { zip -> zip.entries().asSequence().map { it.name }.toSet() }

    private fun output(vararg command: String): String =
        ProcessBuilder(*command).redirectErrorStream(true).start().inputStream.bufferedReader().readText()

    private fun File.parse(): Element = DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(this).documentElement

    private fun Element.children(name: String): List<Element> =
        getElementsByTagName(name).let { nodes -> (0 until nodes.length).map { nodes.item(it) as Element } }

    private fun Element.text(name: String): String? = getElementsByTagName(name).item(0)?.textContent
}
