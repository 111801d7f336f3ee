package meshfast.peer;

import org.apache.dubbo.rpc.model.FrameworkModel;

/** The driver where each instance is an application of its own, as one that registers is. */
public final class WorldDriver {
    private WorldDriver() {}

    public static void main(String[] args) throws Exception {
        FrameworkModel.defaultModel(); // which is the first there is: one that stays when an instance leaves
        new Driver(Driver.answers(), new Worlds()).run();
        System.exit(0);
    }
}
