/**
 * A tool is a few states of a gesture; an event leads from one state to the next.
 *
 * **Invariant:** states do not change; whatever a gesture has gathered so far is in the state that it is in. So to
 * forget a gesture is to forget its state, and there is nothing to clean up.
 */

import type { Editor, Pointer } from "./editor";
import type { Preview } from "./preview";

export type ToolName = "select" | "box" | "polygon";

export interface State {
	/** CSS cursor. */
	readonly cursor: string;
	readonly preview?: Preview;
	down?(pointer: Pointer, editor: Editor): State;
	move?(pointer: Pointer, editor: Editor): State;
	up?(pointer: Pointer, editor: Editor): State;
	doubleClick?(pointer: Pointer, editor: Editor): State;
	/** `null`: this key means nothing here. */
	key?(key: string, editor: Editor): State | null;
}

/** The gesture is over: back to the tool's idle state, without each state having to know it. */
export const done: State = { cursor: "default" };

export interface Tool {
	readonly name: ToolName;
	/** Between gestures. */
	readonly idle: State;
}
