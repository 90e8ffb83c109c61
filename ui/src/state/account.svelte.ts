/** Who is signed in where. */

import type { Backend, DemoPerson } from "../backend/backend";
import { failureOf } from "../backend/failure";
import { say } from "../strings/say";
import type { AccountView } from "../wire.gen";

export class Account {
	/** `null` until the core has said. */
	view = $state.raw<AccountView | null>(null);
	demoPeople = $state.raw<readonly DemoPerson[]>([]);
	signingIn = $state(false);
	/** Why the last attempt to sign in did not work. */
	failure = $state<string | null>(null);

	readonly #backend: Backend;

	constructor(backend: Backend) {
		this.#backend = backend;
	}

	async load(): Promise<void> {
		this.view = await this.#backend.account();
		// The demo may still be unpacking; nobody waits for it.
		void this.#backend.demoPeople().then(
			(people) => {
				this.demoPeople = people;
			},
			() => {},
		);
	}

	async signIn(email: string, password: string): Promise<boolean> {
		this.signingIn = true;
		this.failure = null;
		try {
			this.view = await this.#backend.signIn(email, password);
			return true;
		} catch (thrown) {
			this.failure = this.#sentence(thrown);
			return false;
		} finally {
			this.signingIn = false;
		}
	}

	async signOut(): Promise<void> {
		this.view = await this.#backend.signOut();
	}

	#sentence(thrown: unknown): string {
		const { code, message } = failureOf(thrown);
		if (code === "wrong_password") return say("signin.wrong");
		if (code === "offline") return say("signin.unreachable", { server: this.view?.server ?? "" });
		return say("signin.failed", { message });
	}
}
