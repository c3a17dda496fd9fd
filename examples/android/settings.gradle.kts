pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}

dependencyResolutionManagement {
    repositories {
        google()
        mavenCentral()
        // Filled by scripts/build-android.sh.
        maven(uri("../../target/android/maven"))
    }
}

rootProject.name = "keyferry-example"
include(":app")
