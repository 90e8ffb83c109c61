import { hundredths, type Point, plus, tidy } from "../point";
import { contains, grown, heightOf, type Rect, widthOf } from "../rect";
import { frameHandles, resized } from "./frame";
import type { GeometryOf, Kind } from "./kind";

type Bbox = GeometryOf<"bbox">;

const rect = ({ x, y, width, height }: Bbox): Rect => ({ left: x, top: y, right: x + width, bottom: y + height });

const withRect = (box: Bbox, to: Rect): Bbox => ({
	...box,
	x: hundredths(to.left),
	y: hundredths(to.top),
	width: hundredths(widthOf(to)),
	height: hundredths(heightOf(to)),
});

export const bboxFrom = (to: Rect): Bbox => withRect({ type: "bbox", x: 0, y: 0, width: 0, height: 0 }, to);

export const bbox: Kind<Bbox> = {
	bounds: rect,
	touches: (box, at, reach) => contains(grown(rect(box), reach), at),
	moved(box, by) {
		const [x, y]: Point = tidy(plus([box.x, box.y], by));
		return { ...box, x, y };
	},
	handles: (box) => frameHandles(rect(box)),
	withHandleAt: (box, handle, to, keep) => withRect(box, resized(rect(box), handle, to, keep)),
};
