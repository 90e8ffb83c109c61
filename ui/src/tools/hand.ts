/** Holds one tool and leads it through its states. */

import type { Editor, Pointer } from "./editor";
import type { Preview } from "./preview";
import { done, type State, type Tool } from "./tool";

const NOTHING: Preview = {};

export class Hand {
	#tool: Tool;
	#state: State;

	constructor(
		private readonly editor: Editor,
		tool: Tool,
		private readonly onstep: () => void = () => {},
	) {
		this.#tool = tool;
		this.#state = tool.idle;
	}

	get tool(): Tool {
		return this.#tool;
	}

	get cursor(): string {
		return this.#state.cursor;
	}

	get preview(): Preview {
		return this.#state.preview ?? NOTHING;
	}

	/** A gesture has begun and is not yet an edit. */
	get busy(): boolean {
		const { inHand, sketch, marquee } = this.preview;
		return Boolean(inHand?.length || sketch || marquee);
	}

	take(tool: Tool): void {
		this.#tool = tool;
		this.#become(tool.idle);
	}

	down(pointer: Pointer): void {
		this.#become(this.#state.down?.(pointer, this.editor) ?? this.#state);
	}

	move(pointer: Pointer): void {
		this.#become(this.#state.move?.(pointer, this.editor) ?? this.#state);
	}

	up(pointer: Pointer): void {
		this.#become(this.#state.up?.(pointer, this.editor) ?? this.#state);
	}

	doubleClick(pointer: Pointer): void {
		this.#become(this.#state.doubleClick?.(pointer, this.editor) ?? this.#state);
	}

	/** Whether the key meant anything. */
	key(key: string): boolean {
		const next = this.#state.key?.(key, this.editor);
		if (next) this.#become(next);
		return Boolean(next);
	}

	/** Forgets the gesture; whether there was one. */
	cancel(): boolean {
		const { busy } = this;
		this.#become(this.#tool.idle);
		return busy;
	}

	#become(next: State): void {
		const state = next === done ? this.#tool.idle : next;
		if (state === this.#state) return;
		this.#state = state;
		this.onstep();
	}
}
