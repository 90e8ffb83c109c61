/**
 * The keyboard goes to `element` when nothing has it, as when what one pressed is gone. In a window that nobody has
 * touched yet it stays where it is: a ring would only puzzle.
 */
export function takeLooseFocus(element: HTMLElement | undefined): void {
	if (navigator.userActivation.hasBeenActive && document.activeElement === document.body) {
		element?.focus({ preventScroll: true });
	}
}
