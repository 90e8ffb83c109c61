/** Brings a picture from its address to where it can be drawn. Rejects when it cannot be had or is no picture. */
export async function loadPicture(url: string): Promise<HTMLImageElement> {
	const image = new Image();
	image.decoding = "async";
	image.src = url;
	await image.decode();
	return image;
}
