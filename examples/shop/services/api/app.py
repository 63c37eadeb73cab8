import bottle
from catalog import products

app = bottle.Bottle()


@app.get("/products")
def listed() -> dict[str, list[dict[str, str]]]:
    return {"products": [{"name": each.name, "price": each.price} for each in products()]}
