/** Runs long work in slices, between which the window answers its user. */

export class Slices {
	readonly #channel = new MessageChannel();
	#waiting = false;
	#timer: ReturnType<typeof setTimeout> | undefined;

	/** `work` does a slice, and says after how many ms it wants to go on; `null`: it is done. */
	constructor(private readonly work: (now: number) => number | null) {
		this.#channel.port1.onmessage = () => this.#run();
	}

	wake(after = 0): void {
		clearTimeout(this.#timer);
		if (after > 0) {
			this.#timer = setTimeout(() => this.wake(), after);
		} else if (!this.#waiting) {
			this.#waiting = true;
			// A timer would be held back by a few ms each time; a message is not.
			this.#channel.port2.postMessage(null);
		}
	}

	stop(): void {
		clearTimeout(this.#timer);
		this.#channel.port1.close();
	}

	#run(): void {
		this.#waiting = false;
		const again = this.work(performance.now());
		if (again !== null) this.wake(again);
	}
}
