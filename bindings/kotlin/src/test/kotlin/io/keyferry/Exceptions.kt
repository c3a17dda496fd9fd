package io.keyferry

import java.io.File
import java.lang.reflect.Constructor
import java.lang.reflect.Modifier
import org.junit.jupiter.api.Assertions.assertEquals

/** One of every class of exception that the library declares. Every text in them is [SECRET]. */
internal object Exceptions {
    const val SECRET = "EsTc"

    val all: List<Exception> = families().flatMap { family ->
        family.declaredClasses.filter { family.isAssignableFrom(it) }.map { make(it.constructors.single()) }
    }

    private fun families(): List<Class<*>> {
        val place = File(OpenException::class.java.protectionDomain.codeSource.location.toURI())
        val families = place.resolve("io/keyferry").list().orEmpty()
            .filter { it.endsWith("Exception.class") && '$' !in it }
            .map { Class.forName("io.keyferry." + it.removeSuffix(".class")) }
            .filter { Modifier.isAbstract(it.modifiers) && it != KeyBackupException::class.java }
        assertEquals(9, families.size, "$families")
        return families
    }

    private fun make(constructor: Constructor<*>): Exception {
        val values = constructor.parameterTypes.map { type ->
            when (type) {
                Boolean::class.javaPrimitiveType -> true
                String::class.java -> SECRET
                List::class.java -> emptyList<Any>()
                ResetStop::class.java -> ResetStop.OVERTAKEN
                AccessException::class.java -> AccessException.Locked()
                else -> null
            }
        }
        return constructor.newInstance(*values.toTypedArray()) as Exception
    }
}
