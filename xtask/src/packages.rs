//! The Debian packages the project needs, and what for.

/// Packages that are needed for the same reason.
pub(crate) struct Group {
    /// Completes "to …".
    pub(crate) purpose: &'static str,
    pub(crate) packages: &'static [&'static str],
}

pub(crate) const BUILD: Group = Group {
    purpose: "build the app",
    // WebKit's brings GTK 3, libsoup 3 and librsvg.
    packages: &["build-essential", "pkg-config", "libwebkit2gtk-4.1-dev"],
};

pub(crate) const STAGE: Group = Group {
    purpose: "give the story a desktop of its own",
    packages: &[
        "xvfb",
        "openbox",
        "dbus",
        "at-spi2-core",
        "dunst",
        "gnome-keyring",
        "fonts-dejavu-core",
    ],
};

pub(crate) const HANDS: Group = Group {
    purpose: "drive windows, dialogs and notifications, and look at them",
    packages: &[
        "webkit2gtk-driver",
        "wmctrl",
        "xdotool",
        "imagemagick",
        "python3-pyatspi",
        "gir1.2-atspi-2.0",
        "gir1.2-gtk-3.0",
        "libglib2.0-bin",
        "libsecret-tools",
    ],
};

pub(crate) const BROWSER: Group = Group {
    purpose: "test the window in a browser",
    packages: &["chromium"],
};

pub(crate) const DATABASE: Group = Group {
    purpose: "test the server on PostgreSQL, and by clocks that step",
    packages: &["postgresql", "faketime"],
};

pub(crate) const FUZZING: Group = Group {
    purpose: "go at the server with schemathesis",
    packages: &["python3-venv"],
};

/// Everything.
pub(crate) const ALL: &[Group] = &[BUILD, STAGE, HANDS, BROWSER, DATABASE, FUZZING];
