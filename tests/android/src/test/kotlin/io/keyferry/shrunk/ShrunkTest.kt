package io.keyferry.shrunk

import io.keyferry.Homeserver
import java.io.File
import java.util.concurrent.TimeUnit
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

/** Shrinks a small program by R8, with the rules in our AAR and no others of its own, and lets it restore a backup. */
internal class ShrunkTest {
    @get:Rule
    val folder = TemporaryFolder()

    private val classpath = System.getProperty("java.class.path").split(File.pathSeparator).map(::File)

    @Test
    fun `a program that R8 has shrunk restores`() {
        val shrunk = shrink()
        Homeserver("--keys", "300", "--rooms", "3").use { homeserver ->
            val output = java(
                "-Djna.library.path=${System.getProperty("jna.library.path")}",
                "-cp", shrunk.path,
                "io.keyferry.shrunk.RestoreKt",
                homeserver.signedIn.homeserverUrl, homeserver.signedIn.userId, homeserver.signedIn.deviceId,
                homeserver.accessToken, homeserver.text("recovery_key"), folder.newFolder().path,
            )
            assertEquals(
                listOf("a wrong key: this is no recovery key", "restored 300 of 300, every key is here: true"),
                output.lines().filter { it.isNotBlank() },
            )
        }
        val (before, after) = inputs().sumOf { it.length() } to shrunk.length()
        assertTrue("$before bytes became $after", after < before * 3 / 4)
    }

    private fun shrink(): File {
        val shrunk = folder.root.resolve("shrunk.jar")
        val rules = folder.newFile("app.pro").apply {
            writeText("-keep class io.keyferry.shrunk.RestoreKt { public static void main(java.lang.String[]); }\n")
        }
        val r8 = File(System.getProperty("keyferry.tools")).listFiles().orEmpty().single { it.name.startsWith("r8-") }
        val consumerRules = File(System.getProperty("keyferry.app"), "aar/proguard.txt")
        java(
            "-Xmx2g", "-XX:+UseParallelGC", "-XX:TieredStopAtLevel=1", "-cp", r8.path, "com.android.tools.r8.R8", "--release", "--classfile",
            "--lib", System.getProperty("java.home"),
            "--pg-conf", consumerRules.path, "--pg-conf", rules.path,
            "--output", shrunk.path, *inputs().map { it.path }.toTypedArray(),
        )
        return shrunk
    }

    /** The program, our classes, and what they need, each as it is packed. */
    private fun inputs(): List<File> {
        val version = System.getProperty("keyferry.version")
        val kotlin = File(System.getProperty("keyferry.repository"), "keyferry-kotlin/$version/keyferry-kotlin-$version.jar")
        val names = listOf("kotlin-stdlib-", "kotlinx-coroutines-core-jvm-", "okhttp-", "okio-jvm-", "jna-", "annotations-13")
        val libraries = names.map { name -> classpath.first { it.name.startsWith(name) } }
        return listOf(program(), kotlin) + libraries
    }

    private fun program(): File {
        val program = folder.root.resolve("program.jar")
        if (program.exists()) return program
        val classes = File(ShrunkTest::class.java.protectionDomain.codeSource.location.toURI())
        java.util.zip.ZipOutputStream(program.outputStream()).use { zip ->
            val own = classes.resolve("io/keyferry/shrunk").listFiles().orEmpty().filter { "Restore" in it.name }
            for (file in own) {
                zip.putNextEntry(java.util.zip.ZipEntry(file.relativeTo(classes).path))
                zip.write(file.readBytes())
            }
        }
        return program
    }

    private fun java(vararg arguments: String): String {
        val log = folder.newFile()
        val java = File(System.getProperty("java.home"), "bin/java").path
        val process = ProcessBuilder(java, *arguments).redirectErrorStream(true).redirectOutput(log).start()
        assertTrue("it hangs", process.waitFor(5, TimeUnit.MINUTES))
        assertEquals(log.readText(), 0, process.exitValue())
        return log.readText()
    }
}
