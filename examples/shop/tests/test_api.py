import json

from api.app import app


def test_products_are_listed_with_their_prices():
    environ = {"PATH_INFO": "/products", "REQUEST_METHOD": "GET"}
    body = b"".join(app(environ, lambda *_: None))
    assert {"name": "cup", "price": "4.75"} in json.loads(body)["products"]
