/** Light, dark, or as the system says; remembered on this computer. */

export const THEMES = ["system", "light", "dark"] as const;
export type ThemeChoice = (typeof THEMES)[number];

const KEY = "lockstep.theme";

const isChoice = (value: string | null): value is ThemeChoice => THEMES.includes(value as ThemeChoice);

class Theme {
	#choice = $state<ThemeChoice>("system");

	get choice(): ThemeChoice {
		return this.#choice;
	}

	set choice(choice: ThemeChoice) {
		this.#choice = choice;
		localStorage.setItem(KEY, choice);
		if (choice === "system") delete document.documentElement.dataset.theme;
		else document.documentElement.dataset.theme = choice;
	}

	/** Before the first paint. */
	recall(): void {
		const kept = localStorage.getItem(KEY);
		if (isChoice(kept)) this.choice = kept;
	}
}

export const theme = new Theme();
