"""Sees and presses a program's native dialogs through the accessibility bus.

    dialogs.py list PID            every open dialog of the program, as JSON
    dialogs.py press PID BUTTON    presses that button; fails when no open dialog has it
"""

import json
import sys

import pyatspi

DIALOGS = {pyatspi.ROLE_DIALOG, pyatspi.ROLE_ALERT, pyatspi.ROLE_FILE_CHOOSER}


def below(node):
    """The node and everything under it; parts that vanish while being looked at are left out."""
    yield node
    try:
        children = [child for child in node if child is not None]
    except Exception:
        return
    for child in children:
        yield from below(child)


def dialogs(pid):
    for app in pyatspi.Registry.getDesktop(0):
        try:
            if app is None or app.get_process_id() != pid:
                continue
            windows = list(app)
        except Exception:
            continue
        for window in windows:
            if window is not None and window.getRole() in DIALOGS and showing(window):
                yield window


def showing(node):
    return node.getState().contains(pyatspi.STATE_SHOWING)


def described(dialog):
    parts = [part for part in below(dialog) if showing(part)]
    return {
        "title": dialog.name,
        "text": "\n".join(part.name for part in parts if part.getRole() == pyatspi.ROLE_LABEL and part.name),
        "buttons": [part.name for part in parts if part.getRole() == pyatspi.ROLE_PUSH_BUTTON],
    }


def press(pid, name):
    for dialog in dialogs(pid):
        for part in below(dialog):
            if part.getRole() == pyatspi.ROLE_PUSH_BUTTON and part.name == name:
                return part.queryAction().doAction(0)
    return False


def main():
    if sys.argv[1] == "list":
        print(json.dumps([described(dialog) for dialog in dialogs(int(sys.argv[2]))]))
    elif not press(int(sys.argv[2]), sys.argv[3]):
        sys.exit(f"no open dialog has a button {sys.argv[3]!r}")


main()
