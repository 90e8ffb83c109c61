import { type Point, plus, tidy } from "../point";
import { contains, grown } from "../rect";
import type { GeometryOf, Kind } from "./kind";
import { inFrame, type Turned, turnedBounds, turnedHandles, unturned, withTurnedHandleAt } from "./turned";

type Obb = GeometryOf<"obb">;

const turned = ({ cx, cy, width, height, angle }: Obb): Turned => ({
	centre: [cx, cy],
	halfWidth: width / 2,
	halfHeight: height / 2,
	angle,
});

export const obb: Kind<Obb> = {
	bounds: (box) => turnedBounds(turned(box)),
	touches: (box, at, reach) => contains(grown(unturned(turned(box)), reach), inFrame(turned(box), at)),
	moved(box, by) {
		const [cx, cy]: Point = tidy(plus([box.cx, box.cy], by));
		return { ...box, cx, cy };
	},
	handles: (box, pixel) => turnedHandles(turned(box), pixel),
	withHandleAt(box, handle, to, keep) {
		const { centre, halfWidth, halfHeight, angle } = withTurnedHandleAt(turned(box), handle, to, keep);
		return { ...box, cx: centre[0], cy: centre[1], width: halfWidth * 2, height: halfHeight * 2, angle };
	},
};
