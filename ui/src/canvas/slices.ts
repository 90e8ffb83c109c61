/** Runs long work in slices, between which the window answers its user. */

/** Half a frame: input that comes meanwhile is still shown by the next one. */
const SLICE_MS = 8;

export class Slices {
	readonly #channel = new MessageChannel();
	#waiting = false;
	#timer: ReturnType<typeof setTimeout> | undefined;

	/** `work` goes on until the moment it is given, and says after how many ms it wants to go on; `null`: it is done. */
	constructor(private readonly work: (now: number, until: number) => number | null) {
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
		const now = performance.now();
		const again = this.work(now, now + SLICE_MS);
		if (again !== null) this.wake(again);
	}
}
