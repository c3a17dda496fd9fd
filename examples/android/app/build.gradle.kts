plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "io.keyferry.example"
    compileSdk = 35

    defaultConfig {
        applicationId = "io.keyferry.example"
        minSdk = 24
        targetSdk = 34
        versionCode = 1
        versionName = "1.0"
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
        }
    }

}

kotlin {
    jvmToolchain(17)
}

dependencies {
    implementation("io.keyferry:keyferry-android:0.2.0")
}
