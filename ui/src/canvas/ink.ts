/** The colours that a shape is drawn with. */

import type { Label, LabelId } from "../wire.gen";

export interface Ink {
	line: string;
	fill: string;
	/** For what is selected or in hand. */
	strongFill: string;
}

/** Between black and white, so that it can be seen on both: nobody has said yet what this is. */
const UNLABELLED = "#c3cad3";

const inkOf = (color: string): Ink => ({ line: color, fill: `${color}2e`, strongFill: `${color}38` });

export class Inks {
	readonly #byLabel: Map<LabelId, Ink>;
	readonly #unlabelled = inkOf(UNLABELLED);

	constructor(labels: readonly Label[] = []) {
		this.#byLabel = new Map(labels.map(({ id, color }) => [id, inkOf(color)]));
	}

	of(label: LabelId | null): Ink {
		return (label !== null && this.#byLabel.get(label)) || this.#unlabelled;
	}
}

/** Under every line, so that a light one shows on snow and a dark one at night. */
export const CASING = "rgb(0 0 0 / 45%)";
