"""A native dialog with three buttons, as the app's conflict dialog; exits with the answer's number."""

import sys

import gi

gi.require_version("Gtk", "3.0")
from gi.repository import Gtk  # noqa: E402

dialog = Gtk.MessageDialog(title="Conflict", text="Bob saved version 2. Overwrite it?")
for answer, name in enumerate(["Cancel", "Reload latest", "Overwrite"], start=1):
    dialog.add_button(name, answer)
sys.exit(dialog.run())
