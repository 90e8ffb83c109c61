/** Lines through points: what polygons and polylines share. Vertices are numbered through all lines in order. */

import { distance, nearestOnLine, type Point } from "../point";
import { type Rect, rectAround } from "../rect";
import type { EdgePlace, Handle } from "./kind";

export type Line = Point[];

export const linesBounds = (lines: Line[]): Rect => rectAround(lines.flat());

export const linesMoved = (lines: Line[], move: (point: Point) => Point): Line[] => lines.map((line) => line.map(move));

export const vertexHandles = (lines: Line[]): Handle[] =>
	lines.flat().map((at) => ({ at, role: "vertex", cursor: "crosshair" }));

/** Where vertex `index` is: which line, and which of its points. */
export function place(lines: Line[], index: number): { line: number; point: number } {
	let point = index;
	for (const [line, points] of lines.entries()) {
		if (point < points.length) return { line, point };
		point -= points.length;
	}
	throw new RangeError(`no vertex ${index}`);
}

const changed = (lines: Line[], index: number, change: (line: Line, point: number) => Line): Line[] => {
	const { line, point } = place(lines, index);
	return lines.with(line, change(lines[line] as Line, point));
};

export const withVertexAt = (lines: Line[], index: number, to: Point): Line[] =>
	changed(lines, index, (line, point) => line.with(point, to));

export const withVertexAfter = (lines: Line[], index: number, at: Point): Line[] =>
	changed(lines, index, (line, point) => line.toSpliced(point + 1, 0, at));

export const withoutVertex = (lines: Line[], index: number): Line[] =>
	changed(lines, index, (line, point) => line.toSpliced(point, 1));

export function nearestEdge(lines: Line[], closed: boolean, at: Point): EdgePlace | null {
	let best: EdgePlace | null = null;
	let bestDistance = Infinity;
	let index = 0;
	for (const line of lines) {
		for (const [point, from] of line.entries()) {
			const to = line[point + 1] ?? (closed ? line[0] : undefined);
			if (to) {
				const candidate = nearestOnLine(at, from, to);
				const away = distance(at, candidate);
				if (away < bestDistance) [best, bestDistance] = [{ at: candidate, after: index }, away];
			}
			index += 1;
		}
	}
	return best;
}

export function nearLines(lines: Line[], closed: boolean, at: Point, reach: number): boolean {
	const nearest = nearestEdge(lines, closed, at);
	return nearest !== null && distance(nearest.at, at) <= reach;
}

/** Even-odd over all rings, so that a hole is outside. */
export function inside(rings: Line[], [x, y]: Point): boolean {
	let odd = false;
	for (const ring of rings) {
		let before = ring.at(-1) as Point;
		for (const point of ring) {
			if (
				point[1] > y !== before[1] > y &&
				x < ((before[0] - point[0]) * (y - point[1])) / (before[1] - point[1]) + point[0]
			) {
				odd = !odd;
			}
			before = point;
		}
	}
	return odd;
}

/** Without the lines that are too short to enclose anything; `null` when the first, the outer one, is among them. */
export function soundRings(rings: Line[]): Line[] | null {
	const sound = rings.filter((ring) => ring.length >= 3);
	return sound.length > 0 && sound[0] === rings[0] ? sound : null;
}
