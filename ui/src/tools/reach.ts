/** Distances that a hand is granted, in screen pixels. */

/** A press that moved less is a click. */
export const CLICK = 4;
/** How far from a handle or a line a press still means it: as wide as a fingertip's cursor is sure of. */
export const HANDLE = 8;
/** How far beside a line a press still means the shape. */
export const LINE = 4;
/** The smallest shape that can have been meant. */
export const SPECK = 2;
